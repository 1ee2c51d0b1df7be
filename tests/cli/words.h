// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_CLI_WORDS_H_
#define VDUSE_NET_TESTS_CLI_WORDS_H_

#include <sstream>
#include <string>
#include <vector>

namespace cli {

// The words of a command line.
inline std::vector<std::string> WordsOf(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace cli

#endif  // VDUSE_NET_TESTS_CLI_WORDS_H_

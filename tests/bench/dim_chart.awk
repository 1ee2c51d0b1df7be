# SPDX-License-Identifier: Apache-2.0
#
# What DIM chose over time, as steps, a panel for each round, from the log of a
# scenario:
#   CHOICE ROUND LOAD MS USECS

BEGIN {
  levels = split("0 1 8 64 128 256", profiles, " ")
  for (i = 1; i <= levels; i++) level[profiles[i]] = i
  left = 60; width = 900; top = 24; height = 110; step = 16
}

$2 == "CHOICE" {
  if ($3 != round || $4 != load) {
    if ($3 != round) start = 0
    else start += last
    round = $3; load = $4
    n++
    of_round[n] = round; text[n] = load; begin[n] = start; path[n] = ""
  }
  at = start + $5
  points[n] = points[n] " " at ":" level[$6]
  last = $5
  if (at > limit) limit = at
  if (round > rounds) rounds = round
}

function x(ms) { return left + width * ms / limit }
function y(panel, a_level) { return top + panel * height - 8 - (a_level - 1) * step }

END {
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" " \
    "height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n", \
    left + width + 20, top + rounds * height + 30
  print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
  for (r = 1; r <= rounds; r++) {
    for (i = 1; i <= levels; i++) {
      printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", \
        left - 6, y(r, i) + 4, profiles[i]
      printf "<path d=\"M%d %dH%d\" stroke=\"#e0e0e0\"/>\n", left, y(r, i), \
        left + width
    }
  }
  for (i = 1; i <= n; i++) {  # a load in a round
    if (of_round[i] == 1) {
      name = text[i]; gsub("_", " ", name)
      printf "<text x=\"%.1f\" y=\"14\" font-weight=\"bold\">%s</text>\n", \
        x(begin[i]) + 4, name
    }
    printf "<path d=\"M%.1f %dV%d\" stroke=\"#b0b0b0\"/>\n", x(begin[i]), \
      y(of_round[i], levels) - 6, y(of_round[i], 1) + 6
    count = split(points[i], all, " ")
    for (k = 1; k <= count; k++) {
      split(all[k], point, ":")
      where = sprintf("%.1f", x(point[1])); high = y(of_round[i], point[2])
      path[i] = path[i] (k == 1 ? "M" where " " high : "H" where "V" high)
    }
    printf "<path d=\"%s\" fill=\"none\" stroke=\"#2f6f9f\"/>\n", path[i]
  }
  for (s = 0; s * 1000 <= limit; s += 4) {
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", \
      x(s * 1000), top + rounds * height + 10, s
  }
  printf "<text x=\"%d\" y=\"%d\">rx-usecs chosen, over seconds</text>\n", \
    left, top + rounds * height + 26
  print "</svg>"
}

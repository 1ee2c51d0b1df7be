# SPDX-License-Identifier: Apache-2.0
# What every target of the project is compiled and linked with.
#
# Warnings are errors in the project's own presets alone
# (CMAKE_COMPILE_WARNING_AS_ERROR): a compiler that nobody has tried yet may
# warn, and still builds the program.

option(VDUSE_NET_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(VDUSE_NET_CCACHE "Compile through ccache, if it is installed" OFF)
set(VDUSE_NET_SANITIZE "" CACHE STRING
    "Value of -fsanitize=, for example address,undefined or thread")
# For a host without the libraries, or a restart as quick as can be: the dynamic
# loader has some thirty of them to look through.
option(VDUSE_NET_STATIC "Link the program statically" OFF)
if(VDUSE_NET_STATIC AND (VDUSE_NET_SANITIZE OR VDUSE_NET_FUZZ))
  message(FATAL_ERROR "VDUSE_NET_STATIC does not go with sanitizers or "
                      "fuzzers: they need the dynamic loader")
endif()

if(VDUSE_NET_CCACHE)
  find_program(CCACHE ccache)
  if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  endif()
endif()

add_library(vduse_net_options INTERFACE)
target_compile_options(vduse_net_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>  # base/mutex.h
  -fno-exceptions -fno-omit-frame-pointer)
target_include_directories(vduse_net_options INTERFACE ${PROJECT_SOURCE_DIR})

include(${CMAKE_CURRENT_LIST_DIR}/hardening.cmake)

if(VDUSE_NET_SANITIZE)
  target_compile_options(vduse_net_options INTERFACE
    -fsanitize=${VDUSE_NET_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(vduse_net_options INTERFACE
    -fsanitize=${VDUSE_NET_SANITIZE})
endif()

if(VDUSE_NET_SANITIZE MATCHES "thread" AND
   CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # TSan does not model fences and g++ says so. The ring's fences order memory
  # that another process shares, which no sanitizer sees anyway.
  target_compile_options(vduse_net_options INTERFACE -Wno-tsan)
endif()

if(VDUSE_NET_FUZZ)
  # Coverage feedback for the code under test; the targets themselves link
  # the fuzzer's main().
  target_compile_options(vduse_net_options INTERFACE
    -fsanitize=fuzzer-no-link)
  target_link_options(vduse_net_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# vduse_net_library(NAME SOURCES... DEPENDS...): one library per folder.
function(vduse_net_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC vduse_net_options ${ARG_DEPENDS})
endfunction()

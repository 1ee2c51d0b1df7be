# SPDX-License-Identifier: Apache-2.0
#
# Links the program statically. A device that nobody serves holds up the host,
# so a restarted process has to answer at once: with the distribution's shared
# libraries, resolving some thirty of them is most of its start.

option(VDUSE_NET_STATIC "Link the program statically" ON)
if(VDUSE_NET_SANITIZE OR VDUSE_NET_FUZZ)
  set(VDUSE_NET_STATIC OFF)  # sanitizers need the dynamic loader
endif()

if(VDUSE_NET_STATIC)
  # The packages have archives beside the shared libraries, which is what
  # their CMake and pkg-config files name.
  get_property(imported DIRECTORY ${PROJECT_SOURCE_DIR}
               PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    if(NOT target MATCHES "^absl::")
      continue()
    endif()
    get_target_property(location ${target} IMPORTED_LOCATION_NONE)
    if(NOT location)
      continue()
    endif()
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive "${location}")
    if(NOT EXISTS "${archive}")
      message(FATAL_ERROR "${archive} is missing: install libabsl-dev, or "
                          "configure with -DVDUSE_NET_STATIC=OFF")
    endif()
    set_target_properties(${target} PROPERTIES
                          IMPORTED_LOCATION_NONE "${archive}")
  endforeach()
  find_library(NL_GENL_ARCHIVE libnl-genl-3.a REQUIRED)
  find_library(NL_ARCHIVE libnl-3.a REQUIRED)
  set_target_properties(PkgConfig::NL PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${NL_GENL_ARCHIVE};${NL_ARCHIVE};Threads::Threads")
  find_library(URING_ARCHIVE liburing.a REQUIRED)
  set_target_properties(PkgConfig::URING PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${URING_ARCHIVE}")
endif()

# SPDX-License-Identifier: Apache-2.0
#
# Where VDUSE_NET_STATIC asks for a static program: the libraries' archives in
# place of what their packages name.

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
  find_library(SECCOMP_ARCHIVE libseccomp.a REQUIRED)
  set_target_properties(PkgConfig::SECCOMP PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${SECCOMP_ARCHIVE}")
  find_library(CAPNG_ARCHIVE libcap-ng.a REQUIRED)
  set_target_properties(PkgConfig::CAPNG PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${CAPNG_ARCHIVE}")
  # What it needs of libraries without an archive: simulate/no_live_capture.cc.
  find_library(PCAP_ARCHIVE libpcap.a REQUIRED)
  set_target_properties(PkgConfig::PCAP PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${PCAP_ARCHIVE}")
endif()

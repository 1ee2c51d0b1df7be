# SPDX-License-Identifier: Apache-2.0
# What makes a mistake in memory harder to exploit: position-independent code,
# read-only relocations, stack and heap checks, control-flow enforcement.
# Compilers that lack a flag go without it. Fuzzers go without all of it: they
# are to be fast.

if(VDUSE_NET_FUZZ)
  return()
endif()

include(CheckCXXCompilerFlag)

# Not CMake's POSITION_INDEPENDENT_CODE: that is -fPIC for a static library,
# and what any other library might replace is not inlined.
target_compile_options(vduse_net_options INTERFACE -fPIE)
if(NOT VDUSE_NET_STATIC)  # -pie beside -static-pie makes a dynamic program
  target_link_options(vduse_net_options INTERFACE -pie)
endif()
foreach(flag -fstack-protector-strong -fstack-clash-protection
             -fcf-protection=full)
  string(MAKE_C_IDENTIFIER "VDUSE_NET_HAS${flag}" has)
  check_cxx_compiler_flag(${flag} ${has})
  if(${has})
    target_compile_options(vduse_net_options INTERFACE ${flag})
  endif()
endforeach()

# Fortify needs optimisation, and hides accesses from the sanitizers. Some
# distributions' compilers define it themselves.
if(NOT VDUSE_NET_SANITIZE)
  target_compile_options(vduse_net_options INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()

target_link_options(vduse_net_options INTERFACE
  LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)

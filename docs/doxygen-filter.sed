#!/bin/sed -f
# SPDX-License-Identifier: Apache-2.0
# A comment before what it documents, and one behind it; not rules of sections.
/^ *\/\/ ---/b
/SPDX-License/b
s,^\( *\)//\( .*\|$\),\1///\2,
s,\([;{,)]\) *// \(.*\)$,\1  ///< \2,
# Words that doxygen would take for its own.
/\/\/\//s/[<>@\\]/\\&/g
s/\/\/\/\\</\/\/\/</

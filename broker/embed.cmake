# SPDX-License-Identifier: Apache-2.0
#
# Turn JSON files into C strings, at build time:
#
#     cmake -DJSON_FILES=broker/stream_jobs.json;... -DOUT_DIR=... -P embed.cmake
#
# writes definitions.c and definitions.h, where broker/stream_jobs.json is the string
# jj__definition_stream_jobs. One literal a line, so that the result can be read beside its source.

set(declarations "")
set(strings "")

foreach(file IN LISTS JSON_FILES)
    cmake_path(GET file STEM name)
    string(MAKE_C_IDENTIFIER "jj__definition_${name}" name)

    file(READ "${file}" text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "??" "?\\?" text "${text}") # C11 still has trigraphs
    string(REPLACE "\r" "" text "${text}")
    string(REPLACE "\t" "\\t" text "${text}")
    string(REPLACE "\n" "\\n\"\n    \"" text "${text}")

    string(APPEND declarations "extern const char ${name}[];\n")
    string(APPEND strings "\nconst char ${name}[] =\n    \"${text}\";\n")
endforeach()

set(header "/* Generated from the JSON files in broker by broker/embed.cmake. */
#ifndef JETJOBS_DEFINITIONS_H
#define JETJOBS_DEFINITIONS_H

${declarations}
#endif
")

file(WRITE "${OUT_DIR}/definitions.h" "${header}")
file(WRITE "${OUT_DIR}/definitions.c"
    "/* Generated from the JSON files in broker by broker/embed.cmake. */\n"
    "#include \"definitions.h\"\n${strings}")

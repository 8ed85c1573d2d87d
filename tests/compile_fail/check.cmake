# cmake -D COMPILER=... -D SOURCE=... -D INCLUDES=... -P check.cmake: SOURCE must fail to compile, saying what it expects.

file(STRINGS ${SOURCE} first LIMIT_COUNT 1)
if(NOT first MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE}: expected the first line '// expect: <sentence>', found '${first}'")
endif()
set(sentence ${CMAKE_MATCH_1})

list(TRANSFORM INCLUDES PREPEND -I)
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${INCLUDES} ${SOURCE}
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE}: expected an error, but it compiles")
endif()
string(FIND "${output}" "${sentence}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${SOURCE}: expected the sentence\n  ${sentence}\nfound\n${output}")
endif()

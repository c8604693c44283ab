# Runs the benchmark briefly and checks that its JSON has every figure, whatever the numbers are.
#
# cmake -D BENCH=PROGRAM -P check_json.cmake
cmake_minimum_required(VERSION 3.25)

set(requests msr-read virtual-read-8 virtual-read-max virtual-write-max)
set(expected)
foreach(section IN ITEMS udp tcp unix library)
  foreach(request IN LISTS requests)
    list(APPEND expected ${section}/${request})
  endforeach()
endforeach()
list(APPEND expected
  library/virtual-read-16k library/guest
  models/walk-4-level models/access-4-level models/virtual-copy-16k
  models/virtual-write-16k
  models/msr-read models/msr-read-every models/msr-write models/msr-write-pat
  start/first-reply start/resident start/resident-after-run)

execute_process(
  COMMAND ${BENCH} --seconds 0.01 --json --skip gdbserver --skip qemu
  OUTPUT_VARIABLE json ERROR_VARIABLE errors RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT errors STREQUAL "")
  message(FATAL_ERROR "the benchmark ended with ${result} and said: ${errors}")
endif()

# A number above zero, five times.
function(check_samples where samples)
  foreach(member IN ITEMS median min max)
    string(JSON value GET "${samples}" ${member})
    if(NOT value GREATER 0)
      message(FATAL_ERROR "${where}: ${member} is ${value}")
    endif()
  endforeach()
  string(JSON runs LENGTH "${samples}" runs)
  if(NOT runs EQUAL 5)
    message(FATAL_ERROR "${where}: ${runs} runs")
  endif()
endfunction()

function(check_figure figure out_name)
  string(JSON section GET "${figure}" section)
  string(JSON name GET "${figure}" name)
  string(JSON unit GET "${figure}" unit)
  check_samples(${section}/${name} "${figure}")
  if(section MATCHES "^(udp|tcp|unix)$")
    string(JSON base GET "${figure}" baseline)
    string(JSON ratio GET "${figure}" ratio)
    check_samples("${section}/${name} of the echo" "${base}")
    if(NOT ratio GREATER 0)
      message(FATAL_ERROR "${section}/${name}: its ratio is ${ratio}")
    endif()
  endif()
  set(${out_name} ${section}/${name} PARENT_SCOPE)
endfunction()

set(found)
string(JSON last LENGTH "${json}" figures)
math(EXPR last "${last} - 1")
foreach(index RANGE ${last})
  string(JSON figure GET "${json}" figures ${index})
  check_figure("${figure}" name)
  list(APPEND found ${name})
endforeach()
if(NOT found STREQUAL expected)
  message(FATAL_ERROR "these figures were expected:\n${expected}\nand these came:\n${found}")
endif()

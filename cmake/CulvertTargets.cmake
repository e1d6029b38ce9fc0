# culvert_library(common/net SOURCES a.cc … DEPS culvert::base fmt::fmt …)
#   one folder = one static library = one namespace; its public name is culvert::net.
# culvert_test(common/net SOURCES reactor_test.cc … DEPS …)
#   one test binary per folder, mirrored under tests/unit/, run by ctest.

add_library(culvert_flags INTERFACE)
target_include_directories(culvert_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(
  culvert_flags
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
            -Wimplicit-fallthrough -fno-omit-frame-pointer
            # members with defaults are left out of designated initialisers on purpose
            $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>)
if(CULVERT_WERROR)
  target_compile_options(culvert_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(culvert_flags INTERFACE _FORTIFY_SOURCE=3)
endif()
if(CULVERT_SANITIZE)
  add_compile_options(-fsanitize=${CULVERT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CULVERT_SANITIZE})
endif()

function(culvert_library path)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  string(REPLACE "/" "_" target culvert_${path})
  get_filename_component(name ${path} NAME)
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    target_link_libraries(${target} PUBLIC culvert_flags ${ARG_DEPS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE culvert_flags ${ARG_DEPS})
  endif()
  if(path MATCHES "^common/")
    add_library(culvert::${name} ALIAS ${target})
  else()
    string(REPLACE "/" "_" alias ${path})
    add_library(culvert::${alias} ALIAS ${target})
  endif()
endfunction()

function(culvert_test path)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  string(REPLACE "/" "_" target test_${path})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE culvert_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # Fixtures are found from the source tree's root; no path of it is compiled in, so that a compiler cache serves
  # every checkout.
  add_test(NAME unit/${path} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit/${path} PROPERTIES LABELS "unit;threads" TIMEOUT 300)
endfunction()

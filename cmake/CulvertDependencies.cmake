# Every third-party library, in one place. Debian 12 packages except BoringSSL (see scripts/setup).
find_package(Threads REQUIRED)
# From archives where there are any: a process then maps the part of a library that it uses, and nothing of it is
# relocated page by page. Whoever packages this for a distribution may want CULVERT_ARCHIVES=OFF.
if(CULVERT_ARCHIVES)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
endif()
find_package(fmt REQUIRED)
if(CULVERT_SLIM)
  add_compile_definitions(FMT_HEADER_ONLY)  # Debian has no archive of it
endif()
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(GTest REQUIRED)
find_package(Protobuf REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
find_package(ZLIB REQUIRED)
if(CULVERT_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# BoringSSL: static, current source, built once per machine outside the tree.
if(NOT BORINGSSL_ROOT)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/setup --print-boringssl-root
                  OUTPUT_VARIABLE BORINGSSL_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
find_library(BORINGSSL_SSL NAMES libssl.a PATHS ${BORINGSSL_ROOT}/lib NO_DEFAULT_PATH)
find_library(BORINGSSL_CRYPTO NAMES libcrypto.a PATHS ${BORINGSSL_ROOT}/lib NO_DEFAULT_PATH)
if(NOT BORINGSSL_SSL OR NOT BORINGSSL_CRYPTO OR NOT EXISTS ${BORINGSSL_ROOT}/include/openssl/base.h)
  message(FATAL_ERROR "BoringSSL not found in '${BORINGSSL_ROOT}'. Run ./scripts/setup, "
                      "or give -DBORINGSSL_ROOT=<prefix>")
endif()
add_library(boringssl INTERFACE)
target_include_directories(boringssl SYSTEM INTERFACE ${BORINGSSL_ROOT}/include)
target_link_libraries(boringssl INTERFACE ${BORINGSSL_SSL} ${BORINGSSL_CRYPTO} Threads::Threads)
add_library(culvert::boringssl ALIAS boringssl)

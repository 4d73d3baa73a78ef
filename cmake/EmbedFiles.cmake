# Writes a .cc that holds files as std::string_view constants. Run as a script:
#   cmake -DOUTPUT=x.cc -DHEADER=room/x.h -DNAMESPACE=a::b "-DENTRIES=kName=file*file|kOther=file" -P EmbedFiles.cmake
# Bytes are written as numbers: a string literal has a length limit in ISO C++ and cannot hold every byte.
set(body "")
string(REPLACE "|" ";" entries "${ENTRIES}")
foreach(entry IN LISTS entries)
  string(REGEX MATCH "^([A-Za-z]+)=(.*)$" matched "${entry}")
  set(name "${CMAKE_MATCH_1}")
  string(REPLACE "*" ";" files "${CMAKE_MATCH_2}")
  set(bytes "")
  foreach(file IN LISTS files)
    file(READ "${file}" hex HEX)
    string(APPEND bytes "${hex}")
  endforeach()
  string(REGEX REPLACE "(..)" "0x\\1," numbers "${bytes}")
  string(APPEND body "constexpr unsigned char ${name}Bytes[] = {${numbers}0};\n"
    "const std::string_view ${name}{reinterpret_cast<const char*>(${name}Bytes), sizeof(${name}Bytes) - 1};\n")
endforeach()
file(WRITE "${OUTPUT}.new" "#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n${body}}  // namespace ${NAMESPACE}\n")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")

#pragma once

#include "common/base/result.h"

#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace culvert {

// The whole of a file, as it is. Errors: the system's, with the path. Blocks: for start-up and the
// control thread.
Result<std::string> read_file(const std::string& path);

// A file too large to be held in memory, read from its beginning. Replacing the file by renaming
// does not disturb: what was opened is read on.
class FileReader {
 public:
  static Result<FileReader> open(const std::string& path);
  // Fills the buffer; less than its size: the end. Errors as above. Blocks.
  Result<size_t> read(std::span<char> buffer);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  FileReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace culvert

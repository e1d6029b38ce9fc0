#pragma once

#include "common/base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace culvert {

// The whole of a file, as it is. Errors: the system's, with the path. Blocks: for start-up and the
// control thread.
Result<std::string> read_file(const std::string& path);

// Which file it is and in which state: another one once it is written to or replaced. Not reliable
// for a file that changed within the last moment: the clock of file systems is coarse.
struct FileVersion {
  uint64_t device = 0, inode = 0;
  int64_t size = 0;
  std::chrono::nanoseconds changed{0};  // since the epoch
  bool operator==(const FileVersion&) const = default;
};

// A file too large to be held in memory, read from its beginning. Replacing the file by renaming
// does not disturb: what was opened is read on.
class FileReader {
 public:
  static Result<FileReader> open(const std::string& path);
  // Fills the buffer; less than its size: the end. Errors as above. Blocks.
  Result<size_t> read(std::span<char> buffer);
  // As it is now. Errors as above.
  [[nodiscard]] Result<FileVersion> version() const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  FileReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace culvert

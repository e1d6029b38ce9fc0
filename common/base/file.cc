#include "common/base/file.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace culvert {

Result<std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return system_error(errno != 0 ? errno : EIO, path);
  std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return system_error(EIO, path);
  return content;
}

Result<FileReader> FileReader::open(const std::string& path) {
  errno = 0;
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return system_error(errno != 0 ? errno : EIO, path);
  FileReader reader(path, file);
  if (std::setvbuf(file, nullptr, _IONBF, 0) != 0) {  // callers read large pieces
    return system_error(errno != 0 ? errno : EIO, path);
  }
  return reader;
}

Result<size_t> FileReader::read(std::span<char> buffer) {
  errno = 0;
  const size_t size = std::fread(buffer.data(), 1, buffer.size(), file_.get());
  if (size < buffer.size() && std::ferror(file_.get()) != 0) {
    return system_error(errno != 0 ? errno : EIO, path_);
  }
  return size;
}

Result<FileVersion> FileReader::version() const {
  struct stat status{};
  if (::fstat(::fileno(file_.get()), &status) != 0) return system_error(errno, path_);
  return FileVersion{.device = status.st_dev,
                     .inode = status.st_ino,
                     .size = status.st_size,
                     .changed = std::chrono::seconds(status.st_ctim.tv_sec) +
                                std::chrono::nanoseconds(status.st_ctim.tv_nsec)};
}

}  // namespace culvert

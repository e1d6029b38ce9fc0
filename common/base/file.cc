#include "common/base/file.h"

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

}  // namespace culvert

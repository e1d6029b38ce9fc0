#include "common/ca/dev_ca_files.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/tls/pem.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <random>
#include <string_view>
#include <thread>

namespace culvert::ca {
namespace {

using std::filesystem::path;

const log::Target kLog{"ca::dev"};
constexpr size_t kMaxFileBytes = 1 << 20;
constexpr auto kLockPatience = std::chrono::seconds(10);
constexpr char kCertificateName[] = "root-cert.pem";
constexpr char kKeyName[] = "root-key.pem";

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

Error failed(std::string_view action, const path& file) {
  const int error = errno;
  return system_error(error, "development CA: cannot " + std::string(action) + " " + file.string());
}

bool is_there(const path& file) { return ::access(file.c_str(), F_OK) == 0; }

void warn_if_exposed(const path& file, int fd) {
  struct stat info{};
  if (::fstat(fd, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    kLog.warn(
        "development CA: {} can be accessed by others than its owner (mode {:04o}): whoever reads "
        "it can "
        "be any workload of this mesh; chmod 600 it",
        file.string(), info.st_mode & 07777U);
  }
}

Result<std::string> read_file(const path& file, bool secret) {
  const File in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.fd() < 0) return failed("read", file);
  if (secret) warn_if_exposed(file, in.fd());
  std::string text;
  std::array<char, 4096> chunk;
  for (;;) {
    const ssize_t n = ::read(in.fd(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", file);
    if (n == 0) break;
    text.append(chunk.data(), static_cast<size_t>(n));
    if (text.size() > kMaxFileBytes) {
      return invalid("development CA: " + file.string() + " is larger than 1 MiB");
    }
  }
  ::explicit_bzero(chunk.data(), chunk.size());
  return text;
}

Result<DevCaFiles> load(const path& dir) {
  DevCaFiles files;
  auto certificate = read_file(dir / kCertificateName, false);
  if (!certificate) return certificate.error();
  auto key = read_file(dir / kKeyName, true);
  if (!key) return key.error();
  files.certificate_pem = std::move(*certificate);
  files.key_pem = std::move(*key);
  return files;
}

Result<> write_all(int fd, std::string_view text, const path& file) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", file);
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return failed("write", file);
  return {};
}

// Whole or not at all: written aside, then renamed.
Result<> write_file(const path& file, std::string_view text, mode_t mode) {
  path aside = file;
  aside.replace_filename("." + file.filename().string() + "." + std::to_string(::getpid()) + "." +
                         std::to_string(std::random_device()()));
  Result<> written;
  {
    const File out(
        ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (out.fd() < 0) return failed("create", aside);
    written = write_all(out.fd(), text, aside);
  }
  if (written && ::rename(aside.c_str(), file.c_str()) != 0) written = failed("rename to", file);
  if (!written) ::unlink(aside.c_str());
  return written;
}

Result<> lock(int fd, const path& dir) {
  const Time deadline = Clock::now() + kLockPatience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("lock", dir);
    if (Clock::now() >= deadline) {
      return Error(Errc::kTimedOut, "development CA: " + dir.string() +
                                        " stayed locked by another process for 10 s");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

Result<DevCaFiles> create(const path& dir, const std::function<DevCaFiles()>& make) {
  DevCaFiles files = make();
  if (auto done = write_file(dir / kKeyName, files.key_pem, 0600); !done) return done.error();
  if (auto done = write_file(dir / kCertificateName, files.certificate_pem, 0644); !done) {
    return done.error();
  }
  kLog.info("development CA: created a new one in {}", dir.string());
  return files;
}

}  // namespace

DevCaFiles::~DevCaFiles() { tls::wipe(key_pem); }

Result<DevCaFiles> load_or_create(const path& dir, const std::function<DevCaFiles()>& make) {
  // A CA that is already there may be mounted read-only, and needs no lock.
  if (is_there(dir / kCertificateName)) return load(dir);
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return Error(error, "development CA: cannot create the directory " + dir.string());
  const File directory(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd() < 0) return failed("open", dir);
  if (auto locked = lock(directory.fd(), dir); !locked) return locked.error();
  if (is_there(dir / kCertificateName)) return load(dir);
  if (is_there(dir / kKeyName)) {
    return invalid("development CA: " + (dir / kKeyName).string() + " is there but " +
                   kCertificateName +
                   " is not: put it back, or delete the key to have a new CA made");
  }
  return create(dir, make);
}

}  // namespace culvert::ca

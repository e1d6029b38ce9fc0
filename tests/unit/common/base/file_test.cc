#include "common/base/file.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace culvert {
namespace {

TEST(FileReaderTest, GivesTheWholeInPieces) {
  const auto path =
      std::filesystem::temp_directory_path() / ("culvert-file-test-" + std::to_string(::getpid()));
  std::ofstream(path) << "0123456789";
  auto file = FileReader::open(path);
  ASSERT_TRUE(file);
  // What is opened is read on, though its name is another's now.
  std::ofstream(path.string() + ".new") << "other";
  std::filesystem::rename(path.string() + ".new", path);
  std::vector<char> piece(4);
  std::string text;
  size_t size = piece.size();
  while (size == piece.size()) {
    size = file->read(piece).value();
    text.append(piece.data(), size);
  }
  EXPECT_EQ(text, "0123456789");
  EXPECT_EQ(read_file(path).value(), "other");
  std::filesystem::remove(path);
}

TEST(FileReaderTest, ErrorsNameTheFile) {
  const auto missing = FileReader::open("/nonexistent/file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(), "/nonexistent/file: No such file or directory");
  auto folder = FileReader::open("/");
  std::vector<char> piece(4);
  ASSERT_TRUE(folder);
  EXPECT_FALSE(folder->read(piece));
}

}  // namespace
}  // namespace culvert

#include "common/state/table.h"

#include "common/state/hash.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace culvert::state {
namespace {

struct Item {
  int key = 0;
  std::string value;
};

struct IntKey {
  int key;
  [[nodiscard]] size_t hash() const { return combine_hash(0, static_cast<size_t>(key)); }
  [[nodiscard]] bool matches(const Item& item) const { return item.key == key; }
};

// All in one shard, all with one hash.
struct CollidingKey {
  int key;
  [[nodiscard]] size_t hash() const { return 7; }
  [[nodiscard]] bool matches(const Item& item) const { return item.key == key; }
};

std::map<int, std::string> contents(const Table<Item>& table) {
  std::map<int, std::string> all;
  table.for_each([&](const Item& item) { EXPECT_TRUE(all.emplace(item.key, item.value).second); });
  return all;
}

TEST(TableTest, EmptyFindsNothing) {
  const Table<Item> table;
  EXPECT_EQ(table.find(IntKey{1}), nullptr);
  EXPECT_TRUE(contents(table).empty());
  TableEditor<Item> editor;
  EXPECT_EQ(editor.edit(IntKey{1}), nullptr);
  editor.erase(IntKey{1});
  EXPECT_EQ(editor.freeze().find(IntKey{1}), nullptr);
}

TEST(TableTest, FrozenTablesDoNotChange) {
  TableEditor<Item> editor;
  editor.insert(IntKey{1}, {1, "one"});
  const auto before = editor.freeze();
  editor.edit(IntKey{1})->value = "uno";
  editor.insert(IntKey{2}, {2, "two"});
  const auto between = editor.freeze();
  editor.erase(IntKey{1});
  const auto after = editor.freeze();

  EXPECT_EQ(contents(before), (std::map<int, std::string>{{1, "one"}}));
  EXPECT_EQ(contents(between), (std::map<int, std::string>{{1, "uno"}, {2, "two"}}));
  EXPECT_EQ(contents(after), (std::map<int, std::string>{{2, "two"}}));
}

TEST(TableTest, CollisionsAreTold) {
  TableEditor<Item> editor;
  for (int i = 0; i < 5; ++i) editor.insert(CollidingKey{i}, {i, std::to_string(i)});
  editor.erase(CollidingKey{3});
  const auto table = editor.freeze();
  EXPECT_EQ(table.find(CollidingKey{3}), nullptr);
  for (const int i : {0, 1, 2, 4}) EXPECT_EQ(table.find(CollidingKey{i})->key, i);
}

// Random edits against std::map; every frozen table keeps showing its moment.
TEST(TableTest, AgreesWithAMap) {
  std::mt19937 random(17);
  TableEditor<Item> editor;
  std::map<int, std::string> model;
  std::vector<std::pair<Table<Item>, std::map<int, std::string>>> moments;
  for (int step = 0; step < 20000; ++step) {
    const int key = static_cast<int>(random() % 3000);
    const auto value = std::to_string(step);
    if (random() % 3 == 0) {
      editor.erase(IntKey{key});
      model.erase(key);
    } else if (Item* item = editor.edit(IntKey{key})) {
      item->value = value;
      model[key] = value;
    } else {
      editor.insert(IntKey{key}, {key, value});
      EXPECT_TRUE(model.emplace(key, value).second);
    }
    if (step % 4000 == 0) moments.emplace_back(editor.freeze(), model);
  }
  moments.emplace_back(editor.freeze(), model);
  for (const auto& [table, expected] : moments) {
    EXPECT_EQ(contents(table), expected);
    for (const auto& [key, value] : expected) {
      ASSERT_NE(table.find(IntKey{key}), nullptr);
      EXPECT_EQ(table.find(IntKey{key})->value, value);
    }
  }
}

TEST(TableTest, UntouchedShardsAreShared) {
  TableEditor<Item> editor;
  for (int i = 0; i < 10000; ++i) editor.insert(IntKey{i}, {i, ""});
  const auto before = editor.freeze();
  editor.edit(IntKey{42})->value = "changed";
  const auto after = editor.freeze();
  int copied = 0;
  for (int i = 0; i < 10000; ++i) {
    if (before.find(IntKey{i}) != after.find(IntKey{i})) ++copied;
  }
  EXPECT_GE(copied, 1);
  EXPECT_LT(copied, 100);  // one shard: about 10 of 10,000
}

}  // namespace
}  // namespace culvert::state

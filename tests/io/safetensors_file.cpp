#include <cstdint>
#include <limits>
#include <stepscan/io/safetensors_file.hpp>
#include <string>
#include <support/catch.hpp>
#include <vector>

#include "files.hpp"

using namespace stepscan;
using namespace stepscan_test;

namespace {

std::string refusal(std::span<const std::byte> bytes) {
  return message_of<FileError>([&] { static_cast<void>(SafetensorsFile::parse(bytes, "file")); });
}
std::string refusal(std::string_view header, std::size_t data_bytes = 0) {
  return refusal(safetensors_of(header, data_bytes));
}

/// A header of one tensor "w" of dtype F32.
std::string header_of(std::string_view shape, std::string_view offsets) {
  return R"({"w":{"dtype":"F32","shape":)" + std::string(shape) + R"(,"data_offsets":)" + std::string(offsets) + "}}";
}

TEST_CASE("a file is read: dtypes, shapes, bytes, metadata, padding behind the header") {
  auto bytes = safetensors_of(
      R"({"__metadata__":{"note":"a \"b\"","empty":""},"b":{"shape":[],"data_offsets":[8,12],"dtype":"I32"},)"
      R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"none":{"dtype":"F64",)"
      R"("shape":[3,0],"data_offsets":[12,12]}}   )",
      12);
  const float values[]{1.5F, -2.0F};
  const std::int32_t number = 7;
  std::memcpy(bytes.data() + bytes.size() - 12, values, 8);
  std::memcpy(bytes.data() + bytes.size() - 4, &number, 4);

  const auto file = SafetensorsFile::parse(bytes);
  CHECK(file.tensors().size() == 3);
  CHECK(file.metadata() == SafetensorsMetadata{{"note", "a \"b\""}, {"empty", ""}});
  CHECK(file.tensor("a").dtype == Dtype::f32);
  CHECK(file.tensor("a").shape == std::vector<Index>{1, 2});
  CHECK(file.values<double>("a") == std::vector<double>{1.5, -2.0});
  CHECK(file.tensor("b").shape.empty());
  CHECK(file.values<std::int64_t>("b") == std::vector<std::int64_t>{7});
  CHECK(file.tensor("none").shape == std::vector<Index>{3, 0});
  CHECK(file.values<float>("none").empty());
}

TEST_CASE("an empty file of tensors is a file") {
  CHECK(SafetensorsFile::parse(safetensors_of("{}")).tensors().empty());
}

TEST_CASE("a damaged beginning is refused") {
  CHECK(refusal(std::span<const std::byte>{}) == "file: expected 8 bytes of header length, found 0");
  CHECK(refusal(bytes_of("1234567")) == "file: expected 8 bytes of header length, found 7");
  CHECK(refusal(std::vector<std::byte>(8)) == "file: expected a header that starts with '{'");
  CHECK(refusal(" {}") == "file: expected a header that starts with '{'");
  CHECK(refusal("[]") == "file: expected a header that starts with '{'");

  auto bytes = safetensors_of("{}");
  bytes[0] = std::byte{3};
  CHECK(refusal(bytes) == "file: expected a header of at most 2 bytes, found a length of 3");
  std::fill_n(bytes.begin(), 8, std::byte{0xFF});
  CHECK(refusal(bytes) == "file: expected a header of at most 2 bytes, found a length of 18446744073709551615");
}

TEST_CASE("malformed JSON is refused") {
  CHECK(refusal("{") == "file: malformed JSON at byte 2 of the header");
  CHECK(refusal("{} {}") == "file: malformed JSON at byte 4 of the header");
  CHECK(refusal("{\"w\xFF\":{}}").starts_with("file: malformed JSON at byte 4"));
  CHECK(refusal(std::string_view("{}\0", 3)) == "file: expected a header of text, found a zero byte in it");
  CHECK(refusal(R"({"w":{"dtype")") == "file: malformed JSON at byte 14 of the header (tensor 'w')");
  CHECK(refusal(header_of("[1e999]", "[0,4]"), 4).starts_with("file: malformed JSON"));
}

TEST_CASE("a header of another structure is refused") {
  const std::string one = R"("w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  CHECK(refusal("{" + one + "," + one + "}", 4) == "file: the name 'w' occurs twice (tensor 'w')");
  CHECK(refusal(R"({"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4) ==
        "file: the name 'dtype' occurs twice (tensor 'w')");
  CHECK(refusal(R"({"__metadata__":{},"__metadata__":{}})") == "file: the name '__metadata__' occurs twice");
  CHECK(refusal(R"({"__metadata__":{"a":"1","a":"2"}})") == "file: the name 'a' occurs twice");
  CHECK(refusal(R"({"__metadata__":{"a":1}})") == "file: expected a string, found the number 1");
  CHECK(refusal(R"({"__metadata__":{"a":{}}})") == "file: expected a string, found an object");
  CHECK(refusal(R"({"__metadata__":null})") == "file: expected an object, found null");
  CHECK(refusal(R"({"w":[]})") == "file: expected an object, found a list (tensor 'w')");
  CHECK(refusal(R"({"w":true})") == "file: expected an object, found a boolean (tensor 'w')");
  CHECK(refusal(R"({"w":{}})") == "file: expected dtype, shape and data_offsets, found not all of them (tensor 'w')");
  CHECK(refusal(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4) ==
        "file: expected dtype, shape and data_offsets alone, found the key 'x' (tensor 'w')");
  CHECK(refusal(R"({"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", 8) ==
        "file: expected a dtype (BOOL, U8 to U64, I8 to I64, F16, BF16, F32 or F64), found 'C64' (tensor 'w')");
  CHECK(refusal(R"({"w":{"dtype":["F32"]}})").starts_with("file: expected a dtype"));
}

TEST_CASE("sizes and offsets are whole numbers, not negative, two to a tensor") {
  CHECK(refusal(header_of("[-1]", "[0,4]"), 4) == "file: expected a size, found the number -1 (tensor 'w')");
  CHECK(refusal(header_of("[1.0]", "[0,4]"), 4) == "file: expected a size, found the number '1.0' (tensor 'w')");
  CHECK(refusal(header_of("[\"1\"]", "[0,4]"), 4) == "file: expected a size, found '1' (tensor 'w')");
  CHECK(refusal(header_of("[[1]]", "[0,4]"), 4) == "file: expected a size, found a list (tensor 'w')");
  CHECK(refusal(header_of("[9223372036854775808]", "[0,4]"), 4).starts_with("file: expected a size, found the number"));
  CHECK(refusal(header_of("1", "[0,4]"), 4) == "file: expected a list of sizes, found the number 1 (tensor 'w')");
  for (const auto* offsets : {"[]", "[0]", "[0,4,4]", "[0,-4]", "[0,4.5]", "[0,null]", "4"}) {
    CHECK(refusal(header_of("[1]", offsets), 4).starts_with("file: expected data_offsets of two numbers >= 0, found"));
  }
}

TEST_CASE("offsets lie within the data and hold what the shape says") {
  CHECK(refusal(header_of("[1]", "[0,8]"), 4) ==
        "file: tensor 'w': expected data_offsets within the 4 bytes of data, found [0, 8]");
  CHECK(refusal(header_of("[1]", "[4,0]"), 4) ==
        "file: tensor 'w': expected data_offsets within the 4 bytes of data, found [4, 0]");
  CHECK(refusal(header_of("[1]", "[18446744073709551612,18446744073709551615]"), 4).find("within the 4 bytes") !=
        std::string::npos);
  CHECK(refusal(header_of("[2]", "[0,4]"), 4) == "file: tensor 'w': expected the bytes of shape [2] F32, found 4");
  CHECK(refusal(header_of("[]", "[0,0]")) == "file: tensor 'w': expected the bytes of shape [] F32, found 0");
}

TEST_CASE("products of sizes that overflow are refused") {
  CHECK(refusal(header_of("[4611686018427387904]", "[0,0]")).starts_with("file: tensor 'w': expected the bytes of"));
  CHECK(refusal(header_of("[4294967296,4294967296]", "[0,0]")).starts_with("file: tensor 'w': expected the bytes of"));
  CHECK(refusal(header_of("[4294967297,4294967296]", "[0,4]"), 4).starts_with("file: tensor 'w': expected the bytes"));
}

TEST_CASE("data lies without gaps, overlaps or a rest") {
  const auto two = [](std::string_view a, std::string_view b) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(a) +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(b) + "}}";
  };
  CHECK(SafetensorsFile::parse(safetensors_of(two("[2,4]", "[0,2]"), 4)).tensors().size() == 2);
  const std::string start = "file: tensor 'b': expected to start where the one before ends, at 2, found ";
  CHECK(refusal(two("[0,2]", "[1,3]"), 3) == start + "1");
  CHECK(refusal(two("[0,2]", "[0,2]"), 2) == start + "0");
  CHECK(refusal(two("[0,2]", "[3,5]"), 5) == start + "3");
  CHECK(refusal(two("[0,2]", "[2,4]"), 5) == "file: expected 4 bytes of data, found 5");
  CHECK(refusal("{}", 1) == "file: expected 0 bytes of data, found 1");
}

TEST_CASE("deep nesting is refused at the first level too many") {
  CHECK(refusal(R"({"w":)" + std::string(1'000'000, '[')) == "file: expected an object, found a list (tensor 'w')");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  CHECK(refusal(objects).starts_with("file: expected dtype, shape and data_offsets alone"));
}

TEST_CASE("names in messages are cut and hold no control characters") {
  const std::string message = refusal(R"({"a\u001b[2J)" + std::string(500, 'x') + R"(":1})");
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(message.size() < 200);
}

TEST_CASE("a cut or changed file never passes unnoticed as a larger one") {
  const auto whole = safetensors_of(header_of("[2]", "[0,8]"), 8);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(refusal(std::span(whole).first(size)) != "nothing thrown");
  CHECK(refusal(whole) == "nothing thrown");
}

TEST_CASE("files that cannot be read are refused by name") {
  const TemporaryFolder folder;
  const auto open = [](const std::filesystem::path& path) {
    return message_of<FileError>([&] { static_cast<void>(SafetensorsFile::open(path)); });
  };
  CHECK(open(folder / "absent") == "cannot open '" + (folder / "absent").string() + "': No such file or directory");
  CHECK(open(folder.path()).starts_with("cannot open"));
  write_bytes(folder / "short", bytes_of("abc"));
  CHECK(open(folder / "short") == "'" + (folder / "short").string() + "': expected 8 bytes of header length, found 3");
}

TEST_CASE("a map of tensors round trips through a file") {
  const TemporaryFolder folder;
  TensorMap map;
  set_tensor(map, "x/bytes", {3}, std::span<const std::uint8_t>(std::vector<std::uint8_t>{1, 2, 255}));
  set_tensor(map, "double", {2, 1}, std::span<const double>(std::vector<double>{0.1, -0.0}));
  set_tensor(map, "float", {}, std::span<const float>(std::vector<float>{std::numeric_limits<float>::quiet_NaN()}));
  set_tensor(map, "index", {1, 2}, std::span<const std::int64_t>(std::vector<std::int64_t>{-1, 1LL << 40}));
  set_tensor(map, "none", {0, 5}, std::span<const float>{});
  set_tensor(map, "half", {1}, std::span<const Half>(std::vector<Half>{Half(1.5F)}));
  set_tensor(map, "\"odd\"\n\u00e9", {1}, std::span<const BFloat16>(std::vector<BFloat16>{BFloat16(-2.0F)}));
  const SafetensorsMetadata metadata{{"config", R"({"size": 3})"}, {"", "\t"}};
  save_safetensors(folder / "map.safetensors", map, metadata);

  const auto file = SafetensorsFile::open(folder / "map.safetensors");
  CHECK(file.metadata() == metadata);
  CHECK(load_tensor_map(file) == map);
  CHECK(load_tensor_map(folder / "map.safetensors") == map);
  CHECK(tensor_values<float>(map, "half") == std::vector<float>{1.5F});
  for (const auto& [name, entry] : file.tensors()) {
    CHECK(reinterpret_cast<std::uintptr_t>(entry.bytes.data()) % dtype_bytes(entry.dtype) == 0);
  }

  save_safetensors(folder / "empty.safetensors", TensorMap{});
  CHECK(load_tensor_map(folder / "empty.safetensors").empty());
}

TEST_CASE("a file outlives the value that read it") {
  const TemporaryFolder folder;
  TensorMap map;
  set_tensor(map, "w", {2}, std::span<const float>(std::vector<float>{1, 2}));
  save_safetensors(folder / "w", map);
  const auto copy = [&] {
    const auto file = SafetensorsFile::open(folder / "w");
    return SafetensorsFile(file);
  }();
  std::filesystem::remove(folder / "w");
  CHECK(copy.values<float>("w") == std::vector<float>{1, 2});
}

TEST_CASE("what cannot be written is refused and the old file stays") {
  const TemporaryFolder folder;
  TensorMap map;
  set_tensor(map, "w", {1}, std::span<const float>(std::vector<float>{1}));
  save_safetensors(folder / "w", map);
  const std::string before = read_text(folder / "w");

  const auto save = [&](const TensorMap& tensors, const SafetensorsMetadata& metadata = {}) {
    return message_of<ArgumentError>([&] { save_safetensors(folder / "w", tensors, metadata); });
  };
  TensorMap wrong = map;
  wrong["w"].shape = {2};
  CHECK(save(wrong).find("tensor 'w'") != std::string::npos);
  wrong["w"].shape = {-1};
  CHECK(save(wrong).find("tensor 'w'") != std::string::npos);
  CHECK(save({{"__metadata__", map["w"]}}).find("__metadata__") != std::string::npos);
  CHECK(save({{"\xFF", map["w"]}}).find("UTF-8") != std::string::npos);
  CHECK(save(map, {{"key", "\xC0\x80"}}).find("UTF-8") != std::string::npos);
  CHECK(read_text(folder / "w") == before);

  CHECK(message_of<FileError>([&] { save_safetensors(folder / "absent" / "w", map); }).starts_with("cannot create"));
  std::filesystem::create_directory(folder / "folder");
  write_bytes(folder / "folder" / "kept", bytes_of("x"));
  CHECK(message_of<FileError>([&] { save_safetensors(folder / "folder", map); }).starts_with("cannot write"));
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  CHECK(files == 2);
}

TEST_CASE("values of a map say what is wrong with them") {
  TensorMap map;
  set_tensor(map, "i", {1}, std::span<const std::int64_t>(std::vector<std::int64_t>{300}));
  set_tensor(map, "f", {1}, std::span<const double>(std::vector<double>{1e300}));
  CHECK(message_of<FileError>([&] { static_cast<void>(tensor_values<float>(map, "x", "here")); }) ==
        "here: expected a tensor 'x', found none");
  CHECK(message_of<FileError>([&] { static_cast<void>(tensor_values<float>(map, "i")); }) ==
        "tensors: tensor 'i': expected a floating point dtype, found I64");
  CHECK(message_of<FileError>([&] { static_cast<void>(tensor_values<int>(map, "f")); }) ==
        "tensors: tensor 'f': expected an integer dtype, found F64");
  CHECK(message_of<FileError>([&] { static_cast<void>(tensor_values<std::uint8_t>(map, "i")); }) ==
        "tensors: tensor 'i': expected numbers in the range of U8, found one of I64 outside it");
  CHECK(message_of<FileError>([&] { static_cast<void>(tensor_values<float>(map, "f")); }) ==
        "tensors: tensor 'f': expected numbers in the range of F32, found one of F64 outside it");
  CHECK(message_of<ArgumentError>([&] { set_tensor(map, "f", {2}, std::span<const float>{}); }) ==
        "tensor 'f': expected as many numbers as shape [2] holds, found 0");
}

}  // namespace

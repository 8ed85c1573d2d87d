#include <algorithm>
#include <conformance/case.hpp>

namespace conformance {

namespace {

/// Sizes lie below this, so that products of a few do not overflow and loops over empty tensors end.
constexpr Index size_limit = Index{1} << 20;

/// What is compared, not read.
bool is_result(const std::string& name) { return name.starts_with("out/") || name.starts_with("grad/"); }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Config::Config(const std::string& json) : values_(nlohmann::json::parse(json, nullptr, false)) {
  if (!values_.is_object()) stepscan::fail<FileError>("config: expected a JSON object");
}

const nlohmann::json& Config::value(const std::string& key, const char* expected, bool (*fits)(const nlohmann::json&)) {
  const auto found = values_.find(key);
  if (found == values_.end()) stepscan::fail<FileError>("config: expected a key \"" + key + "\", found none");
  if (!fits(*found)) stepscan::fail<FileError>("config: \"" + key + "\": expected " + expected);
  read_.insert(key);
  return *found;
}

Index Config::size(const std::string& key, Index least) {
  const auto number =
      value(key, "an integer", [](const nlohmann::json& v) { return v.is_number_integer(); }).get<std::int64_t>();
  if (number < least || number >= size_limit) {
    stepscan::fail<FileError>("config: \"" + key + "\": expected a size from " + std::to_string(least) + " to " +
                              std::to_string(size_limit - 1) + ", found " + std::to_string(number));
  }
  return static_cast<Index>(number);
}

bool Config::is_null(const std::string& key) {
  return value(key, "a value", [](const nlohmann::json&) { return true; }).is_null();
}

bool Config::flag(const std::string& key) {
  return value(key, "true or false", [](const nlohmann::json& v) { return v.is_boolean(); }).get<bool>();
}

double Config::number(const std::string& key) {
  return value(key, "a number", [](const nlohmann::json& v) { return v.is_number(); }).get<double>();
}

std::vector<double> Config::numbers(const std::string& key) {
  const nlohmann::json& list = value(key, "a list of numbers or null", [](const nlohmann::json& v) {
    return v.is_null() ||
           (v.is_array() && std::all_of(v.begin(), v.end(), [](const auto& x) { return x.is_number(); }));
  });
  return list.is_null() ? std::vector<double>() : list.get<std::vector<double>>();
}

std::string Config::text(const std::string& key) {
  return value(key, "a string", [](const nlohmann::json& v) { return v.is_string(); }).get<std::string>();
}

std::size_t Config::choice(const std::string& key, const std::vector<std::string>& choices) {
  const std::string chosen = text(key);
  const auto at = std::find(choices.begin(), choices.end(), chosen);
  if (at == choices.end()) {
    stepscan::fail<FileError>("config: \"" + key + "\": expected one of " + joined(choices) + ", found \"" + chosen +
                              "\"");
  }
  return static_cast<std::size_t>(at - choices.begin());
}

std::vector<std::string> Config::unread() const {
  std::vector<std::string> keys;
  for (const auto& item : values_.items()) {
    if (!read_.contains(item.key())) keys.push_back(item.key());
  }
  return keys;
}

Case::Case(const std::filesystem::path& path) : file_(stepscan::SafetensorsFile::open(path)) {
  const auto text = [&](const char* key) {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end())
      stepscan::fail<FileError>("__metadata__: expected \"" + std::string(key) + "\", found none");
    return found->second;
  };
  for (const auto& [name, tensor] : file_.tensors()) {
    if (std::any_of(tensor.shape.begin(), tensor.shape.end(), [](Index size) { return size >= size_limit; })) {
      stepscan::fail<FileError>(name + ": expected sizes below " + std::to_string(size_limit) + ", found shape " +
                                stepscan::shape_text(tensor.shape));
    }
  }
  layer = text("layer");
  config = Config(text("config"));
  const std::string name = path.stem().string();
  for (const char* word : {"strong", "large", "spread", "huge", "high", "extreme", "stress", "saturat"}) {
    strong_ = strong_ || name.find(word) != std::string::npos;
  }
}

void Case::require_shape(const std::string& name, const std::vector<Index>& expected) const {
  if (shape(name) != expected) {
    stepscan::fail<ShapeError>(name + ": expected shape " + stepscan::shape_text(expected) + ", found " +
                               stepscan::shape_text(shape(name)));
  }
}

std::vector<double> Case::values(const std::string& name) {
  read_.insert(name);
  return file_.values<double>(name);
}

std::vector<std::int64_t> Case::integers(const std::string& name) {
  read_.insert(name);
  return file_.values<std::int64_t>(name);
}

bool Case::has_gradients() const {
  const auto& tensors = file_.tensors();
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& item) { return item.first.starts_with("grad/"); });
}

std::vector<std::string> Case::expected_names(bool gradients) const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) {
    if (name.starts_with("out/") || (gradients && name.starts_with("grad/"))) names.push_back(name);
  }
  return names;
}

std::vector<double> Case::expected(const std::string& name) const {
  if (!is_selection(name)) return file_.values<double>(name);
  const std::vector<std::int64_t> selection = file_.values<std::int64_t>(name);
  return {selection.begin(), selection.end()};
}

void Case::check_all_read() const {
  const std::vector<std::string> keys = config.unread();
  if (!keys.empty()) stepscan::fail<FileError>("config: unknown keys: " + joined(keys));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) {
    if (!is_result(name) && !read_.contains(name)) names.push_back(name);
  }
  if (!names.empty()) stepscan::fail<FileError>("unread tensors: " + joined(names));
}

}  // namespace conformance

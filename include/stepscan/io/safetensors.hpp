#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <set>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/core/fields.hpp>
#include <stepscan/io/safetensors_file.hpp>
#include <stepscan/io/tensor_map.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Trees of tensors (a model, a gradient, a state, an optimiser) to and from safetensors files. A tensor's name in the
/// file is the prefix followed by its path in the tree: "encoder.0.weight_ih", or "state/encoder.0.h" with the prefix
/// "state/".
namespace stepscan::inline STEPSCAN_ISA {

/// What can be saved and loaded: anything that for_each_tensor visits.
template <class T>
concept TensorTree = Tree<T> || detail::is_tensor<T> || detail::is_tuple<T> || detail::is_list<T>;

namespace detail {

/// Throws FileError unless the tensor has the sizes and a dtype that the tree's tensor can take.
template <class Stored, class Wanted>
void check_tensor(const Stored& stored, const Wanted& wanted, const std::string& name, const std::string& where) {
  const auto shape = wanted.shape();
  if (!std::equal(shape.begin(), shape.end(), stored.shape.begin(), stored.shape.end())) {
    fail<FileError>(where + ": tensor " + quote_name(name) + ": expected shape " + shape_text(shape) + ", found " +
                    shape_text(stored.shape));
  }
  require_type<typename Wanted::value_type>(stored.dtype, stored.bytes, name, where);
}

/// Checks everything, then copies: either the whole tree is loaded or nothing of it changes.
template <class Map, TensorTree T>
void load_tree(const Map& tensors, T& tree, const std::string& prefix, const std::string& where) {
  std::set<std::string_view> unread;
  for (auto it = tensors.lower_bound(prefix); it != tensors.end() && it->first.starts_with(prefix); ++it) {
    unread.insert(it->first);
  }
  for_each_tensor(
      [&](const Path& path, const auto& tensor) {
        const std::string name = prefix + path.str();
        check_tensor(find_tensor(tensors, name, where), tensor, name, where);
        unread.erase(name);
      },
      std::as_const(tree));
  if (!unread.empty()) {
    fail<FileError>(where + ": expected no tensor but the model's, found " + quote_name(*unread.begin()) +
                    (unread.size() > 1 ? " and " + std::to_string(unread.size() - 1) + " more" : std::string()));
  }
  for_each_tensor(
      [&](const Path& path, auto& tensor) {
        const auto& stored = tensors.find(prefix + path.str())->second;
        convert_numbers(stored.dtype, stored.bytes, tensor.data());
      },
      tree);
}

}  // namespace detail

/// Fills the tree's tensors from those of a file, converted to the tree's number types. The tree fixes the shapes.
/// Throws FileError, and leaves the tree as it was, when the file is damaged, a tensor of the tree is missing or of
/// another shape, or the file holds a tensor under the prefix that the tree does not.
template <TensorTree T>
void load_safetensors(const SafetensorsFile& file, T& tree, const std::string& prefix = {}) {
  detail::load_tree(file.tensors(), tree, prefix, file.where());
}

template <TensorTree T>
void load_safetensors(const std::filesystem::path& path, T& tree, const std::string& prefix = {}) {
  load_safetensors(SafetensorsFile::open(path), tree, prefix);
}

/// The same from a file in memory, such as weights embedded in the program: std::as_bytes(std::span(array)).
template <TensorTree T>
void load_safetensors(std::span<const std::byte> bytes, T& tree, const std::string& prefix = {}) {
  load_safetensors(SafetensorsFile::parse(bytes), tree, prefix);
}

/// The same from tensors in memory.
template <TensorTree T>
void load_tensors(const TensorMap& tensors, T& tree, const std::string& prefix = {}) {
  detail::load_tree(tensors, tree, prefix, "tensors");
}

/// Adds the tree's tensors to the map: several trees, under different prefixes, then make one file. Throws
/// ArgumentError when a name is taken.
template <TensorTree T>
void add_tensors(TensorMap& tensors, const T& tree, const std::string& prefix = {}) {
  for_each_tensor(
      [&](const Path& path, const auto& tensor) {
        const std::string name = prefix + path.str();
        if (tensors.contains(name)) {
          fail<ArgumentError>("tensor " + detail::quote_name(name) + ": expected a name not in use, found it taken");
        }
        const auto shape = tensor.shape();
        set_tensor(tensors, name, {shape.begin(), shape.end()}, tensor.span());
      },
      tree);
}

/// Writes the tree's tensors: float as F32, double as F64, integers as they are. Throws FileError when the file cannot
/// be written; a file of that name is then what it was.
template <TensorTree T>
void save_safetensors(const std::filesystem::path& path, const T& tree, const SafetensorsMetadata& metadata = {}) {
  TensorMap tensors;
  add_tensors(tensors, tree);
  save_safetensors(path, tensors, metadata);
}

}  // namespace stepscan::inline STEPSCAN_ISA

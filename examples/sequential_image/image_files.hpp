#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stepscan/core/error.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <string>
#include <vector>

/// Images as sequences of pixels, read from the IDX files of MNIST or drawn.
namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

/// Grey images in [-1, 1], row by row, one pixel a token.
struct Images {
  using Pixels = stepscan::Tensor<float, Dynamic, Dynamic, Dynamic>;

  Pixels pixels;            ///< [count, rows * columns, 1]
  std::vector<int> labels;  ///< empty, or one for every image
  Index columns = 0;
};

namespace detail {

/// The bytes behind the header of an IDX file of unsigned bytes, and its sizes. Throws FileError.
template <std::size_t Rank>
std::vector<unsigned char> read_idx(const std::string& path, std::array<std::uint32_t, Rank>& sizes) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<unsigned char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    stepscan::fail<stepscan::FileError>("'" + path + "': expected " + expected + ", found " + found);
  };
  constexpr std::size_t header = 4 + 4 * Rank;
  if (!file.is_open() || bytes.size() < header || bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 8 || bytes[3] != Rank) {
    refuse("an IDX file of bytes in " + std::to_string(Rank) + " dimensions", "something else");
  }
  std::uint64_t total = 1;
  for (std::size_t i = 0; i < Rank; ++i) {
    const unsigned char* at = bytes.data() + 4 + 4 * i;
    sizes[i] = std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
    if (sizes[i] == 0 || sizes[i] > bytes.size())
      refuse("sizes of at least 1 that fit into the file", std::to_string(sizes[i]));
    total *= sizes[i];
    if (total > bytes.size()) refuse(std::to_string(total) + " bytes or more", std::to_string(bytes.size()));
  }
  if (total != bytes.size() - header)
    refuse(std::to_string(total) + " bytes of data", std::to_string(bytes.size() - header));
  return {bytes.begin() + header, bytes.end()};
}

}  // namespace detail

/// The first `count` images of an IDX file, with the labels of another where one is named. Throws FileError.
[[nodiscard]] inline Images read_images(const std::string& image_path, const std::string& label_path, Index count) {
  std::array<std::uint32_t, 3> sizes{};
  const auto bytes = detail::read_idx(image_path, sizes);
  count = std::min<Index>(count, sizes[0]);
  Images images{Images::Pixels(count, static_cast<Index>(sizes[1]) * static_cast<Index>(sizes[2]), Index{1}),
                {},
                static_cast<Index>(sizes[2])};
  for (Index i = 0; i < images.pixels.size(); ++i) {
    images.pixels[i] = static_cast<float>(bytes[static_cast<std::size_t>(i)]) / 127.5F - 1;
  }
  if (label_path.empty()) return images;
  std::array<std::uint32_t, 1> label_count{};
  const auto labels = detail::read_idx(label_path, label_count);
  if (label_count[0] != sizes[0]) {
    stepscan::fail<stepscan::FileError>("'" + label_path + "': expected " + std::to_string(sizes[0]) +
                                        " labels, found " + std::to_string(label_count[0]));
  }
  images.labels.assign(labels.begin(), labels.begin() + count);
  return images;
}

/// Rings of random place and size where there is no file, their labels 0, 1 and 2 for small, middle and large.
[[nodiscard]] inline Images draw_images(Index count, std::uint64_t seed, Index side = 28) {
  Images images{Images::Pixels(count, side * side, Index{1}), std::vector<int>(static_cast<std::size_t>(count)), side};
  stepscan::Random random(seed, 3);
  const auto size = static_cast<double>(side) / 28;
  for (Index i = 0; i < count; ++i) {
    const double row = size * random.uniform(10, 18), column = size * random.uniform(10, 18);
    const double radius = size * random.uniform(4, 10);
    images.labels[static_cast<std::size_t>(i)] = static_cast<int>((radius / size - 4) / 2);
    for (Index p = 0; p < side * side; ++p) {
      const double distance = std::hypot(static_cast<double>(p / side) - row, static_cast<double>(p % side) - column);
      images.pixels(i, p, 0) = static_cast<float>(2 * std::exp(-std::pow((distance - radius) / 1.5, 2)) - 1);
    }
  }
  return images;
}

}  // namespace examples

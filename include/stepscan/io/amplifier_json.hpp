#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <stepscan/io/amplifier_description.hpp>
#include <stepscan/io/guitarml.hpp>
#include <stepscan/io/nam.hpp>
#include <string>

namespace stepscan::inline STEPSCAN_ISA {

/// Reads an amplifier model of either format, told apart by the keys `architecture` (NAM) and `model_data` (GuitarML
/// and NeuralSeed); `where` names it in messages. Throws FileError, see parse_nam and parse_guitarml.
[[nodiscard]] inline AmplifierDescription parse_amplifier(std::span<const std::byte> bytes,
                                                          const std::string& where = "amplifier") {
  const auto json = detail::parse_json(bytes, where);
  const detail::JsonCursor document(json, where);
  if (document.has("architecture")) return detail::read_nam(document);
  if (document.has("model_data")) return detail::read_guitarml(document);
  document.refuse("the key 'architecture' (NAM) or 'model_data' (GuitarML)", "neither");
}

/// Reads an amplifier model file of either format. Throws FileError.
[[nodiscard]] inline AmplifierDescription load_amplifier(const std::filesystem::path& path) {
  return parse_amplifier(detail::read_file(path, detail::largest_amplifier_file).span(),
                         detail::quote_name(path.string()));
}

}  // namespace stepscan::inline STEPSCAN_ISA

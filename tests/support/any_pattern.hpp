#pragma once

#include <memory>
#include <stepscan/ops/key_pattern.hpp>

namespace stepscan::testing {

/// Any pattern behind virtual functions, so that attention is compiled once for all of them. A copy allocates nothing.
class AnyPattern {
 public:
  AnyPattern() : AnyPattern(patterns::Full()) {}
  template <KeyPattern P>
  requires(!std::same_as<P, AnyPattern>) explicit AnyPattern(const P& pattern)
      : held_(std::make_shared<const Held<P>>(pattern)) {}

  [[nodiscard]] TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept {
    return held_->hull(head, queries);
  }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange keys) const noexcept {
    return held_->look(head, queries, keys);
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    return held_->row(head, query, first);
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    [[nodiscard]] virtual TokenRange hull(const AttentionHead&, TokenRange) const noexcept = 0;
    [[nodiscard]] virtual Visibility look(const AttentionHead&, TokenRange, TokenRange) const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t row(const AttentionHead&, Index, Index) const noexcept = 0;
  };
  template <KeyPattern P>
  struct Held final : Interface {
    P pattern;
    explicit Held(const P& held) : pattern(held) {}
    [[nodiscard]] TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept override {
      return pattern.hull(head, queries);
    }
    [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries,
                                  TokenRange keys) const noexcept override {
      return pattern.look(head, queries, keys);
    }
    [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept override {
      return pattern.row(head, query, first);
    }
  };

  std::shared_ptr<const Interface> held_;
};
static_assert(KeyPattern<AnyPattern>);

}  // namespace stepscan::testing

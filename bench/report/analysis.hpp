#pragma once

#include <cmath>
#include <optional>
#include <tuple>

#include "results.hpp"

/// What the results say together: which form is the fastest from which length on, what a second thread brings, and how
/// ours stand beside the peers.
namespace report {

/// Seconds by length.
using Times = std::map<long, double>;
using Forms = std::map<std::string, Times>;

/// A layer of one size: its scans in every form, on one thread and on more.
struct FormCurves {
  std::string family;
  std::string subject;
  std::string variant;
  long batch = 1;
  std::map<int, std::map<std::string, Times>> times;  ///< by threads, then form
  std::map<std::string, Times> peers;                 ///< on one thread

  /// Tokens of a sequence of this length, for times of one token.
  [[nodiscard]] double tokens(long time) const { return static_cast<double>(batch * time); }
};

/// Curves of three lengths or more, in the order of the results.
[[nodiscard]] inline std::vector<FormCurves> form_curves(const std::vector<Result>& results) {
  std::vector<FormCurves> all;
  const auto of = [&](const Result& r) -> FormCurves& {
    for (FormCurves& c : all) {
      if (c.subject == r.subject() && c.variant == r.variant && c.batch == r.batch) return c;
    }
    return all.emplace_back(FormCurves{r.family, r.subject(), r.variant, r.batch, {}, {}});
  };
  for (const Result& r : results) {
    if (r.pass != "scan" || !r.peer.empty()) continue;
    double& kept = of(r).times[r.threads][r.form][r.time];
    kept = kept == 0 ? r.seconds : std::min(kept, r.seconds);
  }
  for (const Result& r : results) {
    if (r.pass == "scan" && !r.peer.empty() && r.threads == 1) of(r).peers[r.peer][r.time] = r.seconds;
  }
  // A single case far beyond is none of the curve.
  for (FormCurves& c : all) {
    for (auto& [threads, forms] : c.times) {
      for (auto& [form, times] : forms) {
        for (auto next = times.begin(); next != times.end();) {
          const auto here = next++;
          if (next != times.end() && next->first > 8 * here->first) next = times.erase(next, times.end());
        }
      }
    }
  }
  const auto is_short = [](const FormCurves& c) {
    const auto one = c.times.find(1);
    return one == c.times.end() || std::none_of(one->second.begin(), one->second.end(),
                                                [](const auto& form) { return form.second.size() >= 3; });
  };
  all.erase(std::remove_if(all.begin(), all.end(), is_short), all.end());
  return all;
}

/// The fastest form's time at every length.
[[nodiscard]] inline Times fastest(const std::map<std::string, Times>& forms) {
  Times best;
  for (const auto& [form, times] : forms) {
    for (const auto& [time, seconds] : times) {
      const auto place = best.emplace(time, seconds).first;
      place->second = std::min(place->second, seconds);
    }
  }
  return best;
}

/// From `time` tokens on, `to` is faster than `from`.
struct Crossover {
  double time;
  double seconds;
  std::string from;
  std::string to;
};

/// Where the fastest form changes, on straight lines between the lengths in the logarithms of both. A form counts as
/// faster when it is so by 5%, for less is the noise of a measurement; of forms as fast, the one that does best from
/// there on leads.
[[nodiscard]] inline std::vector<Crossover> crossovers(const std::map<std::string, Times>& forms) {
  constexpr double margin = 1.05;
  const Times best = fastest(forms);
  const auto at = [&](const std::string& form, long time) -> std::optional<double> {
    const Times& times = forms.at(form);
    const auto place = times.find(time);
    return place == times.end() ? std::nullopt : std::optional(place->second);
  };
  const auto leader = [&](long time) {
    std::string chosen;
    double least = 0;
    for (const auto& [form, times] : forms) {
      if (at(form, time).value_or(INFINITY) > margin * best.at(time)) continue;
      double behind = 0;
      for (auto later = best.find(time); later != best.end(); ++later) {
        behind += std::log(at(form, later->first).value_or(2 * later->second) / later->second);
      }
      if (chosen.empty() || behind < least) chosen = form, least = behind;
    }
    return chosen;
  };
  std::vector<Crossover> found;
  std::string leading;
  long before = 0;
  for (const auto& [time, seconds] : best) {
    if (leading.empty()) leading = leader(time);
    const auto held = at(leading, time);
    if (!held || *held > margin * seconds) {
      const std::string next = leader(time);
      const auto a0 = before > 0 ? at(leading, before) : std::nullopt;
      const auto b0 = before > 0 ? at(next, before) : std::nullopt, b1 = at(next, time);
      if (held && a0 && b0 && b1) {
        // The logarithm of the ratio of both times goes from r0 <= 0 through 0 to r1 > 0.
        const double r0 = std::min(std::log(*a0 / *b0), 0.0), r1 = std::log(*held / *b1);
        const double part = r0 / (r0 - r1), first = static_cast<double>(before);
        found.push_back({first * std::pow(static_cast<double>(time) / first, part), *b0 * std::pow(*b1 / *b0, part),
                         leading, next});
      }
      leading = next;
    }
    before = time;
  }
  return found;
}

/// Those of a layer: on one thread without Parallel, which has then nothing to share and is chunks in another order.
[[nodiscard]] inline std::vector<Crossover> crossovers(const FormCurves& curves, int threads) {
  const auto found = curves.times.find(threads);
  if (found == curves.times.end()) return {};
  Forms forms = found->second;
  if (threads == 1) forms.erase("Parallel");
  return crossovers(forms);
}

/// Seconds of ours and of a peer in one run, of the fastest form each.
struct Race {
  double ours = 0;
  double peer = 0;

  [[nodiscard]] double ratio() const { return peer / ours; }
};

/// One case in which ours and peers did the same.
struct Comparison {
  std::string name;  ///< "lstm 64, 64 · scan 1 x 1000", with what variant and how many threads
  double floor = 0;  ///< seconds of the least work; 0: not known
  std::map<std::string, Race> peers;

  [[nodiscard]] const std::pair<const std::string, Race>& best() const {
    return *std::min_element(peers.begin(), peers.end(),
                             [](const auto& a, const auto& b) { return a.second.ratio() < b.second.ratio(); });
  }
  [[nodiscard]] double ratio() const { return best().second.ratio(); }
  [[nodiscard]] double share_of_floor() const { return floor / best().second.ours; }
};

namespace detail {

using CaseKey = std::tuple<std::string, std::string, std::string, long, long, int>;
inline CaseKey key_of(const Result& r, const std::string& pass, const std::string& variant) {
  return {r.subject(), variant, pass, r.batch, r.time, r.threads};
}

/// Forward and backward pass of ours as one, for peers that time them together.
inline std::vector<Result> with_trainings(const std::vector<Result>& results) {
  std::vector<Result> all = results;
  std::map<CaseKey, const Result*> forwards;
  for (const Result& r : results) {
    if (r.pass == "forward") forwards[key_of(r, r.form, r.variant + '/' + r.peer)] = &r;
  }
  for (const Result& r : results) {
    const auto forward =
        r.pass == "backward" ? forwards.find(key_of(r, r.form, r.variant + '/' + r.peer)) : forwards.end();
    if (forward == forwards.end()) continue;
    Result both = r;
    both.pass = "training";
    both.seconds += forward->second->seconds;
    both.floor = (r.floor * r.seconds + forward->second->floor * forward->second->seconds) / both.seconds;
    all.push_back(std::move(both));
  }
  return all;
}

inline std::string name_of(const Result& r) {
  return r.layer + (r.variant.empty() ? "" : ", " + r.variant) + r.subject().substr(r.layer.size()) + " · " + r.pass +
         " " + std::to_string(r.batch) + " x " + std::to_string(r.time) +
         (r.threads > 1 ? " · " + std::to_string(r.threads) + " threads" : "");
}

inline void keep_least(double& kept, double seconds) { kept = kept > 0 ? std::min(kept, seconds) : seconds; }

}  // namespace detail

/// Peers stand beside ours of the same program, which ran in turns with them; floors come from any. A peer's variant
/// stands beside ours of that name, and where it has none of it, its plain case does.
[[nodiscard]] inline std::vector<Comparison> comparisons(const std::vector<Result>& results) {
  std::vector<detail::CaseKey> order;
  std::map<detail::CaseKey, Comparison> cases;
  std::map<std::string, std::map<detail::CaseKey, double>> ours;  // by program
  const std::vector<Result> all = detail::with_trainings(results);
  for (const Result& r : all) {
    if (!r.peer.empty()) continue;
    const auto key = detail::key_of(r, r.pass, r.variant);
    const auto [place, added] = cases.try_emplace(key);
    if (added) {
      order.push_back(key);
      place->second.name = detail::name_of(r);
    }
    place->second.floor = std::max(place->second.floor, r.floor * r.seconds);
    detail::keep_least(ours[r.family][key], r.seconds);
  }
  for (const bool same_variant : {true, false}) {
    std::map<detail::CaseKey, std::map<std::string, Race>> races;
    for (const Result& r : all) {
      if (r.peer.empty()) continue;
      for (const auto& [key, seconds] : ours[r.family]) {
        const std::string& variant = std::get<1>(key);
        if (detail::key_of(r, r.pass, variant) != key || r.variant != (same_variant ? variant : "")) continue;
        Race& race = races[key][r.peer];
        race.ours = seconds;
        detail::keep_least(race.peer, r.seconds);
      }
    }
    for (auto& [key, found] : races) cases[key].peers.merge(found);
  }
  std::vector<Comparison> found;
  for (const auto& key : order) {
    if (!cases[key].peers.empty()) found.push_back(cases[key]);
  }
  return found;
}

}  // namespace report

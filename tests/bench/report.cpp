#include "../../bench/report/page.hpp"

#include <io/files.hpp>
#include <support/catch.hpp>

using namespace report;

namespace {

/// Benchmarks of a program as Google Benchmark writes them; the least work of each takes 210 ns.
std::string results_file(const std::string& program, const std::vector<std::pair<std::string, double>>& nanoseconds) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, time] : nanoseconds) {
    list.push_back(
        {{"name", name}, {"cpu_time", time}, {"real_time", time}, {"time_unit", "ns"}, {"floor", 210 / time}});
  }
  const nlohmann::json context = {{"executable", program}, {"ceiling/product/threads:1", "1.1e11"}};
  return nlohmann::json{{"context", context}, {"benchmarks", list}}.dump();
}

/// A recurrence of 10 ns a token beside chunks of 100 ns and 5 ns a token, on one thread; a peer; training.
Run example() {
  std::vector<std::pair<std::string, double>> times;
  for (const int time : {4, 16, 64, 256}) {
    const std::string sizes = std::to_string(time) + "/8/8/threads:";
    times.emplace_back("lstm/Recurrent/scan/1/" + sizes + "1", 10 * time);
    times.emplace_back("lstm/Chunked/scan/1/" + sizes + "1", 100 + 5 * time);
    times.emplace_back("lstm/Chunked/scan/1/" + sizes + "2/real_time", 200 + 2.5 * time);
  }
  times.emplace_back("other library:lstm/own/scan/1/64/8/8/threads:1", 840);
  times.emplace_back("lstm, Fast/Chunked/scan/1/64/8/8/threads:1", 210);
  times.emplace_back("lstm/own/forward/1/64/8/8/threads:1", 500);
  times.emplace_back("lstm/own/backward/1/64/8/8/threads:1", 1000);
  times.emplace_back("other library:lstm/own/training/1/64/8/8/threads:1", 15000);
  times.emplace_back("matrix_product/512/threads:1", 1);
  const stepscan_test::TemporaryFolder folder;
  stepscan_test::write_bytes(folder / "results.json",
                             stepscan_test::bytes_of(results_file("./stepscan_bench_example", times)));
  // Another run of the same layer on a machine that had become slower, with a peer of its own.
  const std::string slower = results_file("stepscan_peer_third", {{"lstm/own/scan/1/64/8/8/threads:1", 500},
                                                                  {"third:lstm/own/scan/1/64/8/8/threads:1", 750}});
  stepscan_test::write_bytes(folder / "slower.json", stepscan_test::bytes_of(slower));
  Run run;
  for (const char* name : {"results.json", "slower.json"}) read_results((folder / name).string(), run);
  return run;
}

}  // namespace

TEST_CASE("names of benchmarks say peer, layer, variant, form, pass, sizes and threads", "[bench]") {
  Result r;
  REQUIRE(parse_name("a peer:softmax_attention, Half/own/step/1/8192/8/64/threads:2/real_time", r));
  CHECK(r.peer == "a peer");
  CHECK(r.layer == "softmax_attention");
  CHECK(r.variant == "Half");
  CHECK(r.pass == "step");
  CHECK(r.batch == 1);
  CHECK(r.time == 8192);
  CHECK(r.sizes == std::vector<long>{8, 64});
  CHECK(r.threads == 2);
  for (const char* name :
       {"", "matrix_product/512/threads:1", "lstm/own/scan/1/x/8/threads:1", "lstm/own/scan/1/-4/8/threads:1",
        "lstm/own/scan/1/0/8/threads:1", "lstm/own/scan/1/2/8/threads:", "lstm/own/scan/1/2/99999999999/threads:1"}) {
    CHECK_FALSE(parse_name(name, r));
  }
}

TEST_CASE("the length from which another form is faster lies where the times cross", "[bench]") {
  const Run run = example();
  const auto curves = form_curves(run.results);
  REQUIRE(curves.size() == 1);
  CHECK(curves[0].family == "example");
  const auto found = crossovers(curves[0].times.at(1));
  REQUIRE(found.size() == 1);
  CHECK(found[0].from == "Recurrent");
  CHECK(found[0].to == "Chunked");
  // Both take as long at 20 tokens; straight lines in the logarithms between 16 and 64 cross a little later.
  CHECK(found[0].time == Approx(16 * std::pow(4, std::log(180.0 / 160) / std::log(180.0 / 160 * 640 / 420))));
  // A form that is faster by less than what a measurement can tell is not.
  CHECK(crossovers({{"a", {{1, 1.0}, {2, 2.0}}}, {"b", {{1, 1.01}, {2, 1.99}}}}).empty());
}

TEST_CASE("ours stand beside the best peer of the same case", "[bench]") {
  const Run run = example();
  const auto cases = comparisons(run.results);
  REQUIRE(cases.size() == 3);
  CHECK(cases[0].name == "lstm 8, 8 · scan 1 x 64");
  // 840 over the chunks' 420, and 750 over the 500 of its own run
  CHECK(cases[0].peers.at("other library").ratio() == Approx(2));
  CHECK(cases[0].best().first == "third");
  CHECK(cases[0].ratio() == Approx(1.5));
  CHECK(cases[1].name == "lstm, Fast 8, 8 · scan 1 x 64");
  CHECK(cases[1].ratio() == Approx(4));
  CHECK(cases[2].ratio() == Approx(10));  // 15000 over forward and backward
  CHECK_THAT(markdown_table(comparison_table(cases)),
             ContainsSubstring("| lstm 8, 8 · scan 1 x 64 | 500 ns | 750 ns, third | 1.5 | 42 % |"));
}

TEST_CASE("the page holds pictures and tables, whatever there is", "[bench]") {
  const Run run = example();
  const std::string page = html_page(run);
  for (const char* text : {"<svg", "Chunked", "two threads", "other library", "110", ">22<", "All results"}) {
    CHECK_THAT(page, ContainsSubstring(text));
  }
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK_THAT(html_page(Run{}), ContainsSubstring("</html>"));

  const stepscan_test::TemporaryFolder folder;
  Run none;
  CHECK_THROWS(read_results((folder / "none.json").string(), none));
  stepscan_test::write_bytes(folder / "other.json", stepscan_test::bytes_of("[1, 2]"));
  CHECK_THROWS(read_results((folder / "other.json").string(), none));
}

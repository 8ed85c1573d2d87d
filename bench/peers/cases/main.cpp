#include <ctime>
#include <exception>
#include <iostream>
#include <sstream>
#include <stepscan/core/threads.hpp>

#include "../../harness/text_of.hpp"
#include "case.hpp"

/// Serves a script that drives a peer, over its standard input and output. A command is a line; numbers that follow it
/// are floats as they lie in memory. Answers are lines "ok ..." or "error WHAT".
///   isa                        ok NAME: the instruction set this is compiled for
///   make LAYER/PASS: SIZE...   the case that the commands below are about
///   names                      ok NAME COUNT NAME COUNT ...
///   set NAME COUNT, numbers    writes a tensor
///   get NAME                   ok COUNT, numbers
///   start                      takes over the parameters; the state at the start of a sequence
///   threads COUNT
///   time REPEATS               runs, and answers ok WALL PROCESSOR: nanoseconds of all of them together
namespace {

using namespace peers;

constexpr const char* instruction_set = STEPSCAN_TEXT(STEPSCAN_ISA);

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class Server {
 public:
  Server() {
    add_recurrent_cases(makers_);
    add_scan_cases(makers_);
    add_attention_cases(makers_);
    add_update_cases(makers_);
  }

  void serve() {
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      try {
        answer(words);
      } catch (const std::exception& error) {
        std::cout << "error " << error.what() << '\n';
      }
      std::cout.flush();
    }
  }

 private:
  void answer(std::istringstream& words) {
    std::string command;
    words >> command;
    if (command == "make") return make(words);
    if (command == "isa") {
      std::cout << "ok " << instruction_set << '\n';
      return;
    }
    if (case_ == nullptr) fail<ArgumentError>("expected make, found " + command);
    if (command == "names") return list_names();
    if (command == "set") return set(words);
    if (command == "get") return get(words);
    if (command == "time") return time(words);
    if (command == "start") {
      case_->start();
    } else if (command == "threads") {
      int count = 1;
      words >> count;
      set_max_threads(count);
    } else {
      fail<ArgumentError>("there is no command " + command);
    }
    std::cout << "ok\n";
  }

  void make(std::istringstream& words) {
    std::string name;
    std::getline(words >> std::ws, name, ':');
    Sizes sizes;
    for (Index size = 0; words >> size;) sizes.push_back(size);
    const auto maker = makers_.find(name);
    if (maker == makers_.end()) fail<ArgumentError>("there is no case " + name);
    case_ = nullptr;
    case_ = maker->second(sizes);
    std::cout << "ok\n";
  }

  void list_names() {
    std::cout << "ok";
    for (const auto& [name, numbers] : case_->tensors) std::cout << ' ' << name << ' ' << numbers.size();
    std::cout << '\n';
  }

  std::span<float> tensor(std::istringstream& words) {
    std::string name;
    words >> name;
    const auto found = case_->tensors.find(name);
    if (found == case_->tensors.end()) fail<ArgumentError>("there is no tensor " + name);
    return found->second;
  }

  void set(std::istringstream& words) {
    const std::span<float> numbers = tensor(words);
    std::size_t count = 0;
    words >> count;
    if (count != numbers.size()) {
      std::cin.ignore(static_cast<std::streamsize>(count * sizeof(float)));
      fail<ShapeError>("expected " + std::to_string(numbers.size()) + " numbers, found " + std::to_string(count));
    }
    std::cin.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size_bytes()));
    std::cout << "ok\n";
  }

  void get(std::istringstream& words) {
    const std::span<const float> numbers = tensor(words);
    std::cout << "ok " << numbers.size() << '\n';
    std::cout.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size_bytes()));
  }

  void time(std::istringstream& words) {
    long repeats = 1;
    words >> repeats;
    const double wall = seconds_of(CLOCK_MONOTONIC), processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < repeats; ++i) case_->run();
    const double wall_end = seconds_of(CLOCK_MONOTONIC), processor_end = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    std::cout << "ok " << 1e9 * (wall_end - wall) << ' ' << 1e9 * (processor_end - processor) << '\n';
  }

  Makers makers_;
  std::unique_ptr<Case> case_;
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  Server().serve();
}

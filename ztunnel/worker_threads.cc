#include "ztunnel/worker_threads.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace culvert::ztunnel {
namespace {

constexpr const char* kThreads = "ZTUNNEL_WORKER_THREADS";

// More threads than this is a typing error, and each one costs file descriptors in every pod.
constexpr uint64_t kMost = 4096;

std::optional<uint64_t> parse_threads(config::EnvReader& env, uint64_t cpu_count) {
  const auto text = env.text(kThreads);
  if (!text) return std::nullopt;
  if (text->ends_with('%')) {
    double percentage = 0;
    const char* last = text->data() + text->size() - 1;
    const auto [end, error] = std::from_chars(text->data(), last, percentage);
    if (error != std::errc() || end != last) {
      env.reject(kThreads, fmt::format("invalid percentage: {}", *text));
    } else if (!(percentage > 0 && percentage <= 100)) {
      env.reject(kThreads, "percentage must be between 0 and 100");
    } else {
      const double share = static_cast<double>(cpu_count) * percentage / 100;
      return std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share)));
    }
    return std::nullopt;
  }
  const auto number = config::parse_unsigned(*text, kMost);
  if (!number) {
    env.reject(kThreads, fmt::format("invalid number: {}", number.error().message()));
    return std::nullopt;
  }
  return *number == 0 ? cpu_count : *number;
}

}  // namespace

unsigned worker_threads(config::EnvReader& env, std::optional<uint16_t> concurrency,
                        unsigned cpus) {
  const auto resource_limit = env.cpu_quantity("ZTUNNEL_RESOURCE_CPU_LIMIT");
  const auto resource_request = env.cpu_quantity("ZTUNNEL_RESOURCE_CPU_REQUEST").value_or(0);
  const auto plain_limit = env.optional_number<uint32_t>("ZTUNNEL_CPU_LIMIT");
  const uint64_t cpu_count = resource_limit ? *resource_limit : plain_limit.value_or(cpus);

  // A quarter of the machine, because a node proxy shares it with the pods it serves.
  const uint64_t automatic = resource_limit
                                 ? std::max<uint64_t>(*resource_limit, resource_request)
                                 : std::max<uint64_t>({(cpu_count + 3) / 4, resource_request, 2});
  uint64_t fallback = automatic;
  if (concurrency) fallback = *concurrency == 0 ? cpu_count : *concurrency;

  const uint64_t threads = parse_threads(env, cpu_count).value_or(fallback);
  return static_cast<unsigned>(std::clamp<uint64_t>(threads, 1, kMost));
}

}  // namespace culvert::ztunnel

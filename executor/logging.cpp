#include "executor/logging.h"

#include "base/text.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace luminous_healing::executor {
namespace {

/// journald reads the priority from a prefix "<N>" (sd-daemon(3)) and adds the time itself.
class JournalPrefix : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& out) override {
        const char* const prefix = message.level >= spdlog::level::err    ? "<3>"
                                   : message.level == spdlog::level::warn ? "<4>"
                                   : message.level == spdlog::level::info ? "<6>"
                                                                          : "<7>";
        out.append(prefix, prefix + 3);
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<JournalPrefix>();
    }
};

}  // namespace

void start_logging(bool verbose) {
    auto logger = spdlog::stderr_color_st("luminous-healingd");
    if (std::getenv("JOURNAL_STREAM") != nullptr) {
        auto formatter = std::make_unique<spdlog::pattern_formatter>();
        formatter->add_flag<JournalPrefix>('*').set_pattern("%*%v");
        logger->set_formatter(std::move(formatter));
    } else {
        logger->set_pattern("luminous-healingd[%P]: %^%l%$: %v");
    }
    logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

namespace {

/// A message may repeat a name from a file, which must not drive a terminal.
std::string shown(std::string_view message) { return printable_line(message, 4096); }

}  // namespace

void log_debug(std::string_view message) { spdlog::debug("{}", shown(message)); }
void log_info(std::string_view message) { spdlog::info("{}", shown(message)); }
void log_warning(std::string_view message) { spdlog::warn("{}", shown(message)); }
void log_error(std::string_view message) { spdlog::error("{}", shown(message)); }

}  // namespace luminous_healing::executor

#include "executor/outcome.h"

#include "base/text.h"
#include "protocol/limits.h"

namespace luminous_healing::executor {

using protocol::Code;
using protocol::Response;

namespace {

/// A worker's codes, and no other: it cannot claim that a request was refused.
bool is_end_of_run(Code code) {
    switch (code) {
        case Code::ok:
        case Code::action_failed:
        case Code::not_healed:
        case Code::unavailable:
        case Code::parameters_invalid:
        case Code::parameters_not_allowed:
        case Code::timeout:
        case Code::cancelled:
        case Code::interrupted: return true;
        default: return false;
    }
}

}  // namespace

Response response_to(const actions::Report& report) {
    Response response;
    response.code = is_end_of_run(report.code) ? report.code : Code::action_failed;
    response.success = response.code == Code::ok;
    response.output = printable(report.output, protocol::kMaxOutput, &response.output_truncated);
    if (report.error) response.error = printable_line(*report.error, protocol::kMaxError);
    response.verdict = report.verdict;
    if (!report.facts.all().empty()) response.result = report.facts.to_json();
    return response;
}

void describe(audit::Record& outcome, const Response& response) {
    outcome.success = response.success;
    outcome.code = response.code;
    outcome.verdict = response.verdict;
    outcome.error = response.error;
    outcome.duration_ms = response.duration_ms;
    outcome.result = response.result;
    outcome.output = response.output;
}

void lose_record(Response& response, const std::string& what) {
    response.error = what + ", but the audit log cannot be written";
    response.code = Code::audit_unavailable;
    response.success = false;
    response.audit_seq.reset();
}

}  // namespace luminous_healing::executor

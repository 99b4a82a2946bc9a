#pragma once
// What an answer cannot do without, and nothing of what the daemon does around it: the request's MAC is checked, the
// request is parsed, the answer is written and signed.

#include "protocol/mac.h"
#include "protocol/response.h"

#include <map>
#include <string>
#include <string_view>

namespace luminous_healing::bench {

class Signing {
public:
    /// `callers`: lines of a name and a key. `answer`: a real one, given to every request with that request's id. Ends
    /// the program when they are none.
    Signing(std::string_view callers, std::string_view answer);

    /// Ends the program when the frame is not signed by one of the callers.
    [[nodiscard]] std::string answer(std::string_view frame);

private:
    std::map<std::string, protocol::MacKey, std::less<>> keys_;
    protocol::Response response_;
};

}  // namespace luminous_healing::bench

// Runs stored inputs through a fuzz target, in builds without libFuzzer: replay PATH... , each a file or a folder.

#include "base/file.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kMaxInput = 1U << 20U;

std::vector<std::string> inputs_in(const std::vector<std::string>& paths) {
    namespace fs = std::filesystem;
    std::vector<std::string> files;
    for (const auto& path : paths) {
        if (!fs::is_directory(path)) files.push_back(path);
        else
            for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

int main(int count, char** arguments) {
    const auto files = inputs_in({arguments + 1, arguments + count});
    for (const auto& file : files) {
        const auto text = luminous_healing::read_file(file, kMaxInput);
        if (!text) {
            std::cerr << file << ": " << text.error().message << "\n";
            return 1;
        }
        std::cerr << file << std::endl;  // flushed: the last one told is the one that broke a rule
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text->data()), text->size());
    }
    std::cerr << files.size() << " inputs\n";
    return files.empty() ? 1 : 0;
}

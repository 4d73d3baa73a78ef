// Makes a site from rows files: what the browser test looks at. `sluice site` is the program for
// people.
#include <fmt/format.h>

#include <cstdio>

#include "reports/site.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: {} OUT_DIR TITLE ROWS_FILE...\n", argv[0]);
    return 3;
  }
  sluice::reports::SiteOptions options{.out_dir = argv[1], .title = argv[2]};
  for (int i = 3; i < argc; ++i) options.rows_files.emplace_back(argv[i]);
  const auto made = sluice::reports::generate_site(options);
  if (!made) {
    fmt::print(stderr, "{}: {}\n", argv[0], made.error().message());
    return 3;
  }
  fmt::print("{}: {} rows, {} series\n", made->index.string(), made->rows, made->series);
  return 0;
}

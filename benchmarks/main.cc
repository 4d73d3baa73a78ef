// main() of every benchmark program; the benchmarks themselves are the other files linked to it.
#include "benchmarks/scenario/session.h"

int main(int argc, char** argv) { return sluice::bench::benchmark_main(argc, argv); }

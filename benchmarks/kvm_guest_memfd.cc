// guest_memfd on the real kernel: populate (fallocate), first touch through a mapping, punch. One
// file, its pages split among the threads. Source: kvm.md 1; Linux virt/kvm/guest_memfd.c.
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <optional>

#include "base/units.h"
#include "benchmarks/kvm_support.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kMappable =
    kvm::uapi::kGuestMemfdFlagMmap | kvm::uapi::kGuestMemfdFlagInitShared;
class GmemScenario : public Scenario {
 public:
  GmemScenario(const Arguments& arguments, bool needs_mapping)
      : pages_(arguments.number("pages")),
        threads_(static_cast<unsigned>(arguments.number("threads"))),
        needs_mapping_(needs_mapping) {}

  Status setup() override {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    kvm_ = std::move(*kvm);
    OrRefusal<kvm::Vm> vm = open_vm(*kvm_);
    if (!vm) return std::unexpected(vm.error());
    vm_ = std::move(*vm);
    if (Status has = require(vm_, kvm::uapi::kCapGuestMemfd, "KVM_CAP_GUEST_MEMFD"); !has)
      return has;
    const Status mappable =
        require(vm_, kvm::uapi::kCapGuestMemfdFlags, "KVM_CAP_GUEST_MEMFD_FLAGS", kMappable);
    if (!mappable && needs_mapping_) return mappable;
    Expected<kvm::Gmem> gmem = kvm::Gmem::create(vm_, {bytes()}, mappable ? kMappable : 0);
    if (!gmem) return fail(gmem.error());
    gmem_ = std::move(*gmem);
    if (!mappable) return {};
    Expected<kvm::Mapping> mapping =
        kvm::Mapping::open(kvm_->sys(), {.length = bytes(),
                                         .protection = PROT_READ | PROT_WRITE,
                                         .flags = MAP_SHARED,
                                         .fd = gmem_.fd()});
    if (!mapping) return fail(mapping.error());
    mapping_ = std::move(*mapping);
    return {};
  }
  std::uint64_t items() const override { return pages_; }

 protected:
  std::uint64_t bytes() const { return pages_ * kPageBytes; }
  Share share(unsigned thread) const { return share_of(pages_, thread, threads_); }
  std::byte* mapped() const { return mapping_.bytes(); }
  void note(kvm::SysResult result, const char* what) {
    if (!result.ok()) note_failure(SystemError{.number = result.error, .what = what}.message());
  }
  void empty_file() { note(gmem_.punch_hole(0, bytes()), "punch the whole guest_memfd"); }
  void fill_file() { note(gmem_.allocate(0, bytes()), "fallocate the whole guest_memfd"); }

  /// The file holds all of its pages, or none (st_blocks would not tell: it is always 0).
  Status holds(bool all) const {
    const Expected<std::uint64_t> there = pages_of_file(gmem_.fd(), pages_);
    if (!there) return fail(there.error());
    if (*there == (all ? pages_ : 0)) return {};
    return fail(fmt::format("{} of {} pages are there", *there, pages_));
  }

  std::uint64_t pages_;
  unsigned threads_;
  kvm::Gmem gmem_;

 private:
  bool needs_mapping_;
  std::optional<kvm::Kvm> kvm_;
  kvm::Vm vm_;
  kvm::Mapping mapping_;
};

class Populate : public GmemScenario {
 public:
  explicit Populate(const Arguments& arguments)
      : GmemScenario(arguments, false), page_by_page_(arguments.text("calls") == "page") {}
  void before() override { empty_file(); }
  void run(unsigned thread) override {
    const Share mine = share(thread);
    const std::uint64_t step = page_by_page_ ? 1 : mine.end - mine.begin;
    for (std::uint64_t page = mine.begin; page < mine.end; page += step) {
      const kvm::SysResult done = gmem_.allocate(page * kPageBytes, step * kPageBytes);
      if (!done.ok()) return note(done, "fallocate");
    }
  }
  Status verify() override { return holds(true); }

 private:
  bool page_by_page_;
};

class Touch : public GmemScenario {
 public:
  explicit Touch(const Arguments& arguments) : GmemScenario(arguments, true) {}
  void before() override { empty_file(); }
  void run(unsigned thread) override {
    const Share mine = share(thread);
    auto* const bytes = reinterpret_cast<volatile unsigned char*>(mapped());
    for (std::uint64_t page = mine.begin; page < mine.end; ++page) bytes[page * kPageBytes] = 1;
  }
  Status verify() override {
    for (std::uint64_t page = 0; page < pages_; ++page) {
      if (mapped()[page * kPageBytes] != std::byte{1})
        return fail(fmt::format("page {} was not written", page));
    }
    return holds(true);
  }
};

class Punch : public GmemScenario {
 public:
  explicit Punch(const Arguments& arguments)
      : GmemScenario(arguments, false), page_by_page_(arguments.text("calls") == "page") {}
  Status setup() override {
    if (Status ready = GmemScenario::setup(); !ready) return ready;
    fill_file();
    return holds(true);  // so that an empty file afterwards means something
  }
  void before() override { fill_file(); }
  void run(unsigned thread) override {
    const Share mine = share(thread);
    const std::uint64_t step = page_by_page_ ? 1 : mine.end - mine.begin;
    for (std::uint64_t page = mine.begin; page < mine.end; page += step) {
      const kvm::SysResult done = gmem_.punch_hole(page * kPageBytes, step * kPageBytes);
      if (!done.ok()) return note(done, "punch a hole");
    }
  }
  Status verify() override { return holds(false); }

 private:
  bool page_by_page_;
};

const Parameter kPages{"pages", {16384}, {256}};
const Parameter kThreads{"threads", {1, 2}, {1, 2}};
const Parameter kPageSize{"page_size", {"4K"}};  // mainline guest_memfd has no larger pages
const Parameter kCalls{"calls", {"range", "page"}};

const bool kAdded = add_benchmark({.name = "kvm/gmem_populate",
                                   .backend = "kvm",
                                   .parameters = {kPages, kPageSize, kCalls, kThreads},
                                   .make = make_scenario<Populate>}) &&
                    add_benchmark({.name = "kvm/gmem_touch",
                                   .backend = "kvm",
                                   .parameters = {kPages, kPageSize, kThreads},
                                   .make = make_scenario<Touch>}) &&
                    add_benchmark({.name = "kvm/gmem_punch",
                                   .backend = "kvm",
                                   .parameters = {kPages, kPageSize, kCalls, kThreads},
                                   .make = make_scenario<Punch>});

}  // namespace
}  // namespace sluice::bench

// What each RMP instruction costs on the model, all checks and the journal on, beside a loop that
// only stores the entry.
#include <memory>

#include "benchmarks/scenario/access_order.h"
#include "benchmarks/scenario/scenario.h"
#include "model/machine/machine.h"

namespace sluice::bench {
namespace {

constexpr std::uint32_t kGuest = 5;
constexpr std::uint64_t kGpaBase = std::uint64_t{1} << 40;

/// A machine and the instruction under test, run once per entry. Subclasses give the start state
/// and the instruction.
class RmpScenario : public Scenario {
 public:
  explicit RmpScenario(const Arguments& arguments)
      : order_(access_order(arguments.number("entries"), arguments.text("order"))),
        size_(arguments.text("page_size") == "2M" ? PageSize::k2M : PageSize::k4K) {}

  Status setup() override {
    HostProfile profile{};
    const std::uint64_t frames = order_.size() * frames_in(size_);
    profile.frame_count = (frames + kFramesPer2M - 1) / kFramesPer2M * kFramesPer2M;
    auto opened = model::Machine::open(profile);
    if (!opened) return fail(opened.error());
    machine_ = std::make_unique<model::Machine>(std::move(*opened));
    for (std::uint64_t i = 0; i < order_.size(); ++i) {
      if (!prepare(i)) return fail("the start state could not be made");
    }
    machine_->journal.commit();
    return {};
  }
  void before() override { machine_->journal.roll_back(0); }
  void run(unsigned) override {
    failures_ = 0;
    for (const std::uint64_t i : order_) failures_ += execute(i) ? 0u : 1u;
  }
  Status verify() override {
    if (failures_ != 0) return fail(std::to_string(failures_) + " instructions were refused");
    for (std::uint64_t i = 0; i < order_.size(); ++i) {
      if (!done(machine_->rmp.raw(frame(i))))
        return fail("entry " + std::to_string(i) + " is not as the instruction leaves it");
    }
    return {};
  }
  std::uint64_t items() const override { return order_.size(); }
  Facts counters() const override {
    return {
        {.name = "instructions_modelled", .value = static_cast<std::int64_t>(order_.size())},
        {.name = "journal_entries", .value = static_cast<std::int64_t>(machine_->journal.size())}};
  }

 protected:
  virtual bool prepare(std::uint64_t) { return true; }
  virtual bool execute(std::uint64_t i) = 0;
  virtual bool done(const model::RmpEntry& entry) const = 0;

  Pfn frame(std::uint64_t i) const { return {i * frames_in(size_)}; }
  std::uint64_t spa(std::uint64_t i) const { return frame(i).value << kPageShift; }
  bool assign(std::uint64_t i) {
    const model::RmpRecord record{.gpa = kGpaBase + spa(i),
                                  .page_size = size_,
                                  .assigned = true,
                                  .immutable = false,
                                  .asid = kGuest};
    return machine_->rmp.update(machine_->journal, spa(i), record) == Check::kOk;
  }
  model::GuestPage page(std::uint64_t i) const {
    const MapLevel level = size_ == PageSize::k2M ? MapLevel::k2M : MapLevel::k4K;
    return {.asid = {kGuest},
            .gpa = {kGpaBase + spa(i)},
            .leaf = {.present = true, .writable = true, .level = level, .pfn = frame(i)}};
  }
  PageSizeArg operand() const { return static_cast<PageSizeArg>(size_); }
  bool validate(std::uint64_t i) {
    return model::pvalidate(machine_->rmp, machine_->journal, page(i), operand(), true).allowed();
  }

  std::unique_ptr<model::Machine> machine_;

 private:
  std::vector<std::uint32_t> order_;
  PageSize size_;
  unsigned failures_ = 0;
};

class RmpUpdate : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool execute(std::uint64_t i) override { return assign(i); }
  bool done(const model::RmpEntry& entry) const override {
    return entry.assigned() && entry.asid().value == kGuest;
  }
};

class Psmash : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool prepare(std::uint64_t i) override { return assign(i); }
  bool execute(std::uint64_t i) override {
    return machine_->rmp.smash(machine_->journal, spa(i)) == Check::kOk;
  }
  bool done(const model::RmpEntry& entry) const override {
    return entry.assigned() && entry.page_size() == PageSize::k4K;
  }
};

class Pvalidate : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool prepare(std::uint64_t i) override { return assign(i); }
  bool execute(std::uint64_t i) override { return validate(i); }
  bool done(const model::RmpEntry& entry) const override { return entry.validated(); }
};

class RmpAdjust : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool prepare(std::uint64_t i) override { return assign(i) && validate(i); }
  bool execute(std::uint64_t i) override {
    return model::rmpadjust(machine_->rmp, machine_->journal, page(i),
                            {.size = operand(), .target_vmpl = 1, .mask = 3, .vmsa = false})
        .allowed();
  }
  bool done(const model::RmpEntry& entry) const override { return entry.mask(Vmpl{1}) == 3; }
};

/// The two instructions that only look; what they saw is summed, so that nothing is left out.
class RmpQuery : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool prepare(std::uint64_t i) override { return assign(i) && validate(i); }
  bool execute(std::uint64_t i) override {
    std::uint8_t mask = 0xff;
    const bool allowed = model::rmpquery(machine_->rmp, page(i), 1, mask).allowed();
    return allowed && mask == 0;
  }
  bool done(const model::RmpEntry& entry) const override { return entry.validated(); }
};
class RmpRead : public RmpScenario {
 public:
  using RmpScenario::RmpScenario;
  bool prepare(std::uint64_t i) override { return assign(i); }
  bool execute(std::uint64_t i) override {
    model::RmpRecord record;
    return machine_->rmp.read(spa(i), record) == Check::kOk && record.assigned;
  }
  bool done(const model::RmpEntry& entry) const override { return entry.assigned(); }
};

template <class S>
bool add(const char* name, bool small, bool large) {
  const Parameter order{"order", {"sequential", "random"}, {}};
  const bool update = std::is_same_v<S, RmpUpdate>;
  if (small) {
    add_benchmark({.name = name,
                   .backend = "model",
                   .parameters = {{"page_size", {"4K"}, {}},
                                  order,
                                  {"entries", {static_cast<std::int64_t>(kFramesPer1G)}, {4096}}},
                   .make = make_scenario<S>,
                   .unit = "ns/entry",
                   .floor = "floor/rmp_store",
                   .target = update ? "M1" : "",
                   .limit = update ? std::optional(8.0) : std::nullopt});
  }
  if (large) {
    add_benchmark({.name = name,
                   .backend = "model",
                   .parameters = {{"page_size", {"2M"}, {}}, order, {"entries", {16384}, {64}}},
                   .make = make_scenario<S>,
                   .unit = "ns/entry",
                   .floor = "floor/rmp_store_2m"});
  }
  return true;
}

const bool kAdded =
    add<RmpUpdate>("model/rmpupdate", true, true) && add<Psmash>("model/psmash", false, true) &&
    add<Pvalidate>("model/pvalidate", true, true) &&
    add<RmpAdjust>("model/rmpadjust", true, true) && add<RmpQuery>("model/rmpquery", true, true) &&
    add<RmpRead>("model/rmpread", true, true);

}  // namespace
}  // namespace sluice::bench

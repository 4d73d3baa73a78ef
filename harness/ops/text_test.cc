// Text to sequence and back: canonical, lossless for what a sequence means, and errors that say
// where and what would be right.
#include "ops/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "ops/nearest.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kRace =
    "# title: slot deletion waits for a pre-fault in flight\n"
    "# source: kvm.md 4\n"
    "# requires: cap=pre_fault_memory, cap=guest_memfd\n"
    "# kernel: 6.18\n"
    "# a plain comment: dropped\n"
    "create_vm vm=0 type=default\n"
    "\n"
    "set_memory_region slot=0 gpa=0x0 size=2M hva=0x0 => ok\n"
    "create_vcpu vm=0 vcpu=0\r\n"
    "@vcpu0 pre_fault_memory gpa=0x0 size=2M park=1  # stops at its first interleaving point\n"
    "@vmm1\tset_memory_region vm=0 slot=0 size=0 => blocked(srcu)\n"
    "resume vcpu0 => EAGAIN # known upstream\n";

TEST(Text, ParsesTheExampleOfTheArchitecture) {
  const auto sequence = parse_text(kRace, "race.ops");
  ASSERT_TRUE(sequence) << sequence.error().message();
  EXPECT_EQ(sequence->notes.title, "slot deletion waits for a pre-fault in flight");
  EXPECT_EQ(sequence->notes.requirements.size(), 2u);
  EXPECT_EQ(sequence->header.kernel, (KernelVersion{.major = 6, .minor = 18}));
  ASSERT_EQ(sequence->steps.size(), 6u);
  EXPECT_EQ(sequence->lines, (std::vector<std::uint32_t>{6, 8, 9, 10, 11, 12}));
  EXPECT_EQ(sequence->steps[3].park, 1);
  EXPECT_EQ(std::get<PreFaultMemory>(sequence->steps[3].op).size.value, kBytesPer2M);
  EXPECT_EQ(sequence->steps[4].actor, (ActorId{.kind = ActorKind::kVmm, .index = 1}));
  EXPECT_EQ(sequence->expectations[4], "blocked(srcu)");
  EXPECT_EQ(sequence->expectations[5], "EAGAIN");
  EXPECT_EQ(sequence->expectations[0], "");
}

TEST(Text, FormatIsCanonical) {
  const auto sequence = parse_text(kRace, "race.ops");
  ASSERT_TRUE(sequence);
  EXPECT_EQ(format_text(*sequence),
            "# title: slot deletion waits for a pre-fault in flight\n"
            "# source: kvm.md 4\n"
            "# requires: cap=pre_fault_memory\n"
            "# requires: cap=guest_memfd\n"
            "# kernel: 6.18\n"
            "create_vm\n"
            "set_memory_region size=2M => ok\n"
            "create_vcpu\n"
            "pre_fault_memory size=2M park=1\n"
            "@vmm1 set_memory_region => blocked(srcu)\n"
            "resume vcpu0 => EAGAIN\n");
}

struct ValueCase {
  std::string_view line;
  std::string_view canonical;
};
constexpr ValueCase kValues[] = {
    {"create_vm type=snp exit_hypercall=0", "create_vm type=snp exit_hypercall=0"},
    {"create_vm slot_zap_all=0", "create_vm slot_zap_all=0"},
    {"set_memory_region flags=log_dirty|guest_memfd size=0x200000 gmem=2",
     "set_memory_region flags=log_dirty|guest_memfd size=2M gmem=2"},
    {"set_memory_region flags=0xc size=1025K",
     "set_memory_region flags=guest_memfd|0x8 size=0x100400"},
    {"set_memory_region gpa=2M gmem=other hva=raw:0x1",
     "set_memory_region gpa=0x200000 hva=raw:0x1 gmem=other"},
    {"set_memory_attributes attributes=private size=4097",
     "set_memory_attributes size=0x1001 attributes=private"},
    {"gmem_allocate mode=punch_hole|keep_size", "gmem_allocate mode=keep_size|punch_hole"},
    {"gmem_allocate mode=0", "gmem_allocate mode=0"},
    {"map_gpa_range page_count=512 attributes=16", "map_gpa_range page_count=512 attributes=0x10"},
    {"pre_fault_memory size=0xffffffffffffffff gpa=0x8000000000000000",
     "pre_fault_memory gpa=0x8000000000000000 size=0xffffffffffffffff"},
    {"pvalidate gfn=512 page_size=2M cpl=3 vmpl=7",
     "pvalidate gfn=0x200 page_size=2M vmpl=7 cpl=3"},
    {"launch_update type=cpuid", "launch_update type=cpuid"},
    {"launch_update type=99", "launch_update type=99"},
    {"@vcpu3 guest_access kind=fetch c_bit=1", "@vcpu3 guest_access kind=fetch c_bit=1"},
    {"@vcpu0 rmpadjust mask=read|0x40", "rmpadjust mask=read|0x40"},
    {"launch_start policy=0x30000", "launch_start"},
    {"resume target=kernel1 park=255", "resume kernel1 park=255"},
    {"psc_msr operation=1 gfn=512", "psc_msr gfn=0x200 operation=private"},
    {"psc entry0=2:512:2M+0x12c entry1=private:1 version=2",
     "psc entry0=shared:0x200:2M+300 entry1=private:0x1"},
    {"psc ghcb=no_scratch version=1 scratch=0x7ff entry3=9:0xffffffffff+4095!0x7f",
     "psc ghcb=no_scratch version=1 scratch=0x7ff entry3=9:0xffffffffff+4095!0x7f"},
    {"ghcb_write_entry index=1 entry=0:0!1", "ghcb_write_entry index=1 entry=0:0x0!0x1"},
};

TEST(Text, ValuesHaveOneCanonicalForm) {
  for (const ValueCase& one : kValues) {
    const auto sequence = parse_text(one.line, "values.ops");
    ASSERT_TRUE(sequence) << one.line << ": " << sequence.error().message();
    EXPECT_EQ(format_step(sequence->steps.at(0)), one.canonical);
  }
}

struct ErrorCase {
  std::string text;
  std::string_view where;
  std::string_view what;
};

TEST(Text, ErrorsSayWhereAndWhatWouldBeRight) {
  std::string many = "create_vm\n";
  for (std::size_t i = 0; i < kMaxOps; ++i) many += "destroy_vm\n";
  const ErrorCase cases[] = {
      {"create_vn", "bad.ops:1:1: ", "unknown operation 'create_vn'; did you mean 'create_vm'?"},
      {"\n  frobnicate", "bad.ops:2:3: ", "unknown operation 'frobnicate'; known are: create_vm,"},
      {"create_vm tpye=snp", "bad.ops:1:11: ", "no field 'tpye'; did you mean 'type'?"},
      {"create_vm zzzzzz=1",
       "bad.ops:1:11: ", "known are: vm, type, exit_hypercall, slot_zap_all, park"},
      {"create_vm type=snpp",
       "bad.ops:1:16: ", "type: 'snpp' is not a VM type; did you mean 'snp'?"},
      {"create_vm vm=2", "bad.ops:1:14: ", "out of range; the largest a VM of the sequence is 0x1"},
      {"create_vm vm=", "bad.ops:1:11: ", "vm: '' is empty"},
      {"create_vm vm=0 vm=1", "bad.ops:1:16: ", "field 'vm' is given twice"},
      {"create_vm vm", "bad.ops:1:11: ", "expected name=value, found 'vm'; fields are: vm type"},
      {"create_vm exit_hypercall=yes", "bad.ops:1:26: ", "known are: 0, 1"},
      {"set_memory_region slot=0x1ffffffff", "bad.ops:1:24: ", "out of range"},
      {"set_memory_region gpa=0x1ffffffffffffffff", "bad.ops:1:23: ", "does not fit in 64 bits"},
      {"set_memory_region size=17179869185G", "bad.ops:1:24: ", "does not fit in 64 bits"},
      {"set_memory_region size=2T", "bad.ops:1:24: ", "K, M and G are understood"},
      {"set_memory_region flags=guestmemfd", "bad.ops:1:25: ", "did you mean 'guest_memfd'?"},
      {"set_memory_region hva=0x4000000", "bad.ops:1:23: ", "write raw:0x4000000"},
      {"create_guest_memfd flags=mmap", "bad.ops:1:26: ", "no names"},
      {"psc entry0=public:1", "bad.ops:1:12: ", "is no PSC entry; write shared:0x200"},
      {"psc entry0=16:1", "bad.ops:1:12: ", "is no PSC entry; write shared:0x200"},
      {"psc entry0=shared", "bad.ops:1:12: ", "lacks the frame"},
      {"psc entry0=shared:x", "bad.ops:1:12: ", "has a frame that is not a number"},
      {"psc entry0=shared:0x10000000000", "bad.ops:1:12: ", "more than 40 bits"},
      {"psc entry0=shared:1+4096", "bad.ops:1:12: ", "larger than 0xfff"},
      {"psc entry0=shared:1!128", "bad.ops:1:12: ", "larger than 0x7f"},
      {"psc entry0=shared:1!1+1", "bad.ops:1:12: ", "'+1' at its end"},
      {"@vcpu9 pre_fault_memory", "bad.ops:1:1: ", "'vcpu9' is not an actor"},
      {"@vmm0 pre_fault_memory",
       "bad.ops:1:1: ", "is not done by vmm0; write an actor like @vcpu0"},
      {"@vcpu0 resume vcpu1", "bad.ops:1:1: ", "has no acting thread"},
      {"@vcpu0", "bad.ops:1:1: ", "an operation is missing"},
      {"resume", "bad.ops:1:1: ", "'resume' wants an actor after it"},
      {"resume vcpu7", "bad.ops:1:8: ", "did you mean 'vcpu0'"},
      {"create_vm park=256", "bad.ops:1:11: ", "1 to 255"},
      {"create_vm park=1 park=1", "bad.ops:1:18: ", "'park' is given twice"},
      {"create_vm =>  # nothing", "bad.ops:1:11: ", "nothing after '=>'"},
      {"psmash spa=0x0", "bad.ops:1:1: ", "add the header '# scope: machine'"},
      {"create_vm\n# kernel: 6.18", "bad.ops:2:3: ", "header 'kernel' after the first operation"},
      {"# kernel: 5.4", "bad.ops:1:11: ", "known are: 6.12 6.14 6.16 6.17 6.18 7.0"},
      {"# scope: guest", "bad.ops:1:10: ", "known are: host, machine"},
      {"# scoep: machine", "bad.ops:1:3: ", "did you mean 'scope'?"},
      {"# title: a\n# title: b", "bad.ops:2:3: ", "given twice"},
      {"# policy: gmem_order=3M", "bad.ops:1:11: ", "did you mean '2M'?"},
      {"# policy: gmem=2M", "bad.ops:1:11: ", "unknown policy axis 'gmem'"},
      {"# policy: vmm=kill,vmm=kill", "bad.ops:1:11: ", "given twice"},
      {"# policy: host_fault=none", "bad.ops:1:11: ", "host_fault wants backing=fd_in_place"},
      {"# policy: backing=fd_in_place", "bad.ops:1:11: ", "say by host_fault what is done"},
      {"# policy: host_fault=upm_no_direct_map",
       "bad.ops:1:11: ", "put direct_map=unmap beside it"},
      {"# policy: host_fault=upm_no_direct_map,direct_map=unmap,backing=fd_in_place",
       "bad.ops:1:11: ", "say by host_fault what is done"},
      {"# policy: mapped_set_lock=sleep", "bad.ops:1:11: ", "choose one of them"},
      {"# requires: guest_memfd", "bad.ops:1:13: ", "cap=guest_memfd"},
      {many, "bad.ops:65:1: ", "more than 64 operations"},
      {std::string("create_vm\n\0x", 12), "bad.ops:2:1: ", "byte 0x00 is not text"},
      {"create_vm # \xff\xfe", "bad.ops:1:13: ", "byte 0xff is not text"},
      {"\xed\xa0\x80", "bad.ops:1:1: ", "'sluice decode'"},
      {"# " + std::string(2000, 'x'), "bad.ops:1:1001: ", "longer than 1000 bytes"},
      {std::string(kMaxTextBytes + 1, '\n'), "bad.ops:1:1: ", "at most 262144"},
  };
  for (const ErrorCase& one : cases) {
    const auto sequence = parse_text(one.text, "bad.ops");
    ASSERT_FALSE(sequence) << one.text.substr(0, 80);
    EXPECT_THAT(sequence.error().message(), StartsWith(std::string(one.where)));
    EXPECT_THAT(sequence.error().message(), HasSubstr(std::string(one.what)));
  }
}

/// Any sequence that the byte form could hold, with notes and expectations besides.
Sequence any_sequence(Rng& rng) {
  Sequence sequence;
  sequence.header.scope = rng.one_in(2) ? Scope::kMachine : Scope::kHost;
  sequence.header.kernel = kModeledKernels[rng.below(kModeledKernels.size())];
  if (rng.one_in(2)) sequence.header.policy.vmm = VmmPolicy::kIgnore;
  sequence.header.policy.gmem_order = static_cast<GmemOrder>(rng.below(3));
  if (rng.one_in(2)) sequence.notes.title = "a title: with # in it";
  if (rng.one_in(2)) sequence.notes.requirements = {"cap=guest_memfd", "vm_type=snp"};
  for (std::uint64_t left = rng.below(kMaxOps + 1); left > 0; --left) {
    const std::size_t index = rng.below(AllOps::kCount);
    if (kOpInfo[index].machine_scope_only && sequence.header.scope == Scope::kHost) continue;
    Step step{.op = make_op(index)};
    for (std::size_t i = 0; i < fields_of(index).size(); ++i) {
      set_field(step.op, i, pick_value(*fields_of(index)[i].domain, rng));
    }
    step.actor = default_actor(step.op);
    if (takes_actor(index)) {
      step.actor.index = static_cast<std::uint8_t>(rng.below(actors_of(step.actor.kind)));
    }
    if (rng.one_in(4)) step.park = static_cast<std::uint8_t>(rng.below(kMaxPark + 1));
    sequence.steps.push_back(step);
    sequence.expectations.emplace_back(rng.one_in(2) ? "" : "ok(gpa=0x1000, left=0x1ff000)");
  }
  return sequence;
}

TEST(Text, RoundTripOfRandomSequences) {
  Rng rng(7);
  for (int run = 0; run < 500; ++run) {
    const Sequence sequence = any_sequence(rng);
    const std::string text = format_text(sequence);
    const auto again = parse_text(text, "again.ops");
    ASSERT_TRUE(again) << again.error().message() << '\n' << text;
    EXPECT_EQ(format_text(*again), text);
    ASSERT_EQ(again->steps.size(), sequence.steps.size()) << text;
    EXPECT_EQ(again->header.scope, sequence.header.scope);
    EXPECT_EQ(again->header.kernel, sequence.header.kernel);
    EXPECT_EQ(again->header.policy, sequence.header.policy);
    EXPECT_EQ(again->notes.requirements, sequence.notes.requirements);
    for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
      EXPECT_TRUE(same_op(again->steps[i].op, sequence.steps[i].op))
          << format_step(sequence.steps[i]);
      EXPECT_EQ(again->steps[i].actor, sequence.steps[i].actor) << text;
      EXPECT_EQ(again->steps[i].park, sequence.steps[i].park) << text;
      if (!again->expectations.empty()) {
        EXPECT_EQ(again->expectations[i], sequence.expectations[i]);
      }
    }
  }
}

TEST(Text, TruncationAndDamageAreErrorsOrSequencesNeverMore) {
  Rng rng(11);
  for (int run = 0; run < 2000; ++run) {
    std::string text(kRace.substr(0, rng.below(kRace.size())));
    for (int i = 0; i < 3 && !text.empty(); ++i) {
      text[rng.below(text.size())] = static_cast<char>(rng.below(256));
    }
    const auto sequence = parse_text(text, "damaged.ops");
    if (!sequence) {
      EXPECT_THAT(sequence.error().message(), StartsWith("damaged.ops:"));
      continue;
    }
    const std::string canonical = format_text(*sequence);
    const auto again = parse_text(canonical, "again.ops");
    ASSERT_TRUE(again) << again.error().message() << '\n' << canonical;
    EXPECT_EQ(format_text(*again), canonical);
  }
}

TEST(Nearest, CountsSwapsOnceAndKeepsFarNamesAway) {
  EXPECT_EQ(edit_distance("tpye", "type"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abd"), 1u);
  constexpr std::string_view kNames[] = {"create_vm", "destroy_vm"};
  EXPECT_EQ(nearest_name("creat_vm", kNames), "create_vm");
  EXPECT_EQ(nearest_name("unrelated_thing", kNames), "");
}

TEST(Text, KernelsAndPolicies) {
  EXPECT_EQ(parse_kernel("6.18")->minor, 18);
  EXPECT_FALSE(parse_kernel("6.18.1"));
  EXPECT_FALSE(parse_kernel(""));
  EXPECT_EQ(format_policy(PolicySet{}), "");
}

}  // namespace
}  // namespace sluice

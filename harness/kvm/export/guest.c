
/* Guest code: a small program with a memslot of its own, entered in long mode. A command is an
 * entry point; arguments and results pass in registers; a byte written to DONE_PORT ends it. It
 * reaches a guest-physical address through a window, whose page table entry it writes itself. */
#include <cpuid.h>

#define GUEST_GPA (63ull << 30)
#define GUEST_BYTES (16 * PAGE)
#define GUEST_SLOT 32763u
#define DONE_PORT 0xe9
enum { CODE_PAGE, SCRATCH_PAGE, PML4_PAGE, PDPT_PAGE, DIRECTORY_PAGE, TABLE_PAGE };
enum { FIRST_WINDOW = 64 };

static unsigned char* guest_memory;

static uint64_t guest_page(int page) { return GUEST_GPA + (uint64_t)page * PAGE; }

static void prepare_guest_memory(void) {
  const uint64_t table = 0x27, leaf = 0x67; /* present, writable, user, accessed; dirty */
  guest_memory =
      mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (guest_memory == MAP_FAILED) give_up("mmap of the guest's program");
  memcpy(guest_memory, guest_code, sizeof guest_code);
  uint64_t(*const pages)[512] = (uint64_t(*)[512])(void*)guest_memory;
  pages[PML4_PAGE][0] = guest_page(PDPT_PAGE) | table;
  pages[PDPT_PAGE][GUEST_GPA >> 30] = guest_page(DIRECTORY_PAGE) | table;
  pages[DIRECTORY_PAGE][0] = guest_page(TABLE_PAGE) | table;
  for (uint64_t i = 0; i < GUEST_BYTES / PAGE; ++i) {
    pages[TABLE_PAGE][i] = (GUEST_GPA + i * PAGE) | leaf;
  }
  for (int vcpu = 0; vcpu < VCPUS; ++vcpu) { /* a fetch runs off its window into the code page */
    pages[TABLE_PAGE][FIRST_WINDOW + 2 * vcpu + 1] = guest_page(CODE_PAGE) | leaf;
  }
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, unsigned cpl) {
  return (struct kvm_segment){.limit = 0xffffffff,
                              .selector = (uint16_t)(selector | cpl),
                              .type = type,
                              .present = 1,
                              .dpl = (uint8_t)cpl,
                              .s = 1,
                              .g = 1};
}
static void set_privilege(int vcpu, unsigned cpl, int start) {
  struct kvm_sregs sregs;
  if (call(vcpus[vcpu].fd, KVM_GET_SREGS, &sregs) < 0) give_up("KVM_GET_SREGS");
  sregs.cs = segment(0x08, 0xb, cpl);
  sregs.cs.l = 1;
  struct kvm_segment data = segment(0x10, 0x3, cpl);
  data.db = 1;
  sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = data;
  if (start) {
    sregs.cr0 = 1u << 31 | 0x31; /* paging, protected mode */
    sregs.cr3 = guest_page(PML4_PAGE);
    sregs.cr4 = 0x20;   /* PAE */
    sregs.efer = 0x500; /* long mode */
  }
  if (call(vcpus[vcpu].fd, KVM_SET_SREGS, &sregs) < 0) give_up("KVM_SET_SREGS");
}

static void prepare_guest(int vcpu) {
  const int vm = vcpus[vcpu].vm;
  if (guest_memory == NULL) prepare_guest_memory();
  if (!vms[vm].has_guest) {
    struct kvm_userspace_memory_region slot = {.slot = GUEST_SLOT,
                                               .guest_phys_addr = GUEST_GPA,
                                               .memory_size = GUEST_BYTES,
                                               .userspace_addr = (uintptr_t)guest_memory};
    if (call(vms[vm].fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0) give_up("the guest's memslot");
    vms[vm].has_guest = 1;
  }
  if (!vcpus[vcpu].has_cpuid && set_cpuid(vcpu, 48).kind != OK) give_up("KVM_SET_CPUID2");
  if (!vcpus[vcpu].in_long_mode) set_privilege(vcpu, 0, 1);
  vcpus[vcpu].in_long_mode = 1;
}

/* KVM_RUN, decoded: errno and kvm_run together say what came. */
static struct answer run_guest(int vcpu) {
  struct kvm_run* const run = vcpus[vcpu].run;
  struct answer out = {.kind = EXIT};
  run->exit_reason = KVM_EXIT_UNKNOWN;
  vcpus[vcpu].exit_in_hand = 0;
  if (call(vcpus[vcpu].fd, KVM_RUN, NULL) < 0) {
    if (errno == EINTR) return (struct answer){.kind = LOOPS};
    if (run->exit_reason != EXIT_MEMORY_FAULT) return status(-1);
    out.number = EXIT_MEMORY_FAULT;
    take_memory_fault(run, &out);
    return out;
  }
  out.number = out.exit.reason = run->exit_reason;
  if (run->exit_reason == KVM_EXIT_IO && run->io.port == DONE_PORT) {
    struct kvm_regs regs;
    if (ioctl(vcpus[vcpu].fd, KVM_GET_REGS, &regs) < 0) return status(-1);
    vcpus[vcpu].exit_in_hand = 1;
    return (struct answer){.kind = OK, .value = regs.rax};
  }
  vcpus[vcpu].exit_in_hand = run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO ||
                             run->exit_reason == KVM_EXIT_HYPERCALL;
  if (run->exit_reason == KVM_EXIT_MMIO) out.exit.gpa = run->mmio.phys_addr & ~(PAGE - 1);
  if (run->exit_reason == KVM_EXIT_HYPERCALL) out.exit.flags = run->hypercall.longmode;
  return out;
}
static struct answer enter_guest(int vcpu, struct kvm_regs regs) {
  if (vcpus[vcpu].exit_in_hand) { /* KVM would complete it into the new registers */
    vcpus[vcpu].run->immediate_exit = 1;
    if (ioctl(vcpus[vcpu].fd, KVM_RUN, 0) == 0) fprintf(stderr, "a run that should not be\n");
    vcpus[vcpu].run->immediate_exit = 0;
  }
  regs.rflags |= 2;
  if (call(vcpus[vcpu].fd, KVM_SET_REGS, &regs) < 0) return status(-1);
  return run_guest(vcpu);
}

static struct kvm_regs window(int vcpu, uint64_t entry, uint64_t gpa) {
  const uint64_t index = FIRST_WINDOW + 2 * (uint64_t)vcpu;
  return (struct kvm_regs){.rip = GUEST_GPA + entry,
                           .rdi = guest_page(TABLE_PAGE) + index * 8,
                           .rsi = gpa | 0x67,
                           .r8 = GUEST_GPA + index * PAGE};
}
HELPER struct answer guest_read(int vcpu, uint64_t gpa) {
  prepare_guest(vcpu);
  struct answer out = enter_guest(vcpu, window(vcpu, ENTRY_READ, gpa));
  out.has_value = out.kind == OK;
  return out;
}
HELPER struct answer guest_write(int vcpu, uint64_t gpa, uint64_t value) {
  prepare_guest(vcpu);
  struct kvm_regs regs = window(vcpu, ENTRY_WRITE, gpa);
  regs.rbx = value;
  return enter_guest(vcpu, regs);
}
HELPER struct answer guest_fetch(int vcpu, uint64_t gpa) {
  prepare_guest(vcpu);
  struct kvm_regs regs = window(vcpu, ENTRY_FETCH, gpa);
  regs.r9 = regs.r8 + PAGE - 16; /* the last 16 bytes of the page, which are zero */
  regs.rax = guest_page(SCRATCH_PAGE);
  return enter_guest(vcpu, regs);
}

static int is_amd(void) {
  unsigned eax, ebx, ecx = 0, edx;
  __get_cpuid(0, &eax, &ebx, &ecx, &edx);
  return ecx == 0x444d4163 || ecx == 0x656e6975;
}
static struct answer of_rax(struct answer out) {
  if (out.kind != OK || out.value == 0) return out;
  return (struct answer){.kind = RAX, .number = (unsigned)-(int64_t)out.value};
}
static struct answer finish_hypercall(int vcpu, uint64_t returned) {
  vcpus[vcpu].run->hypercall.ret = returned;
  const struct answer out = run_guest(vcpu);
  set_privilege(vcpu, 0, 0);
  return out;
}
/* Gives back the private copy that a conversion to shared left unreachable. */
static void punch(int vm, uint64_t gpa, uint64_t size) {
  for (int i = 0; i < vms[vm].count; ++i) {
    const struct slot* const slot = &vms[vm].slots[i];
    const uint64_t begin = gpa > slot->gpa ? gpa : slot->gpa;
    const uint64_t end = gpa + size < slot->gpa + slot->size ? gpa + size : slot->gpa + slot->size;
    if (slot->slot >= 1u << 16 || slot->gmem < 0 || begin >= end) continue;
    const uint64_t offset = slot->gmem_offset + (begin - slot->gpa);
    file_allocate(slot->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, end - begin);
  }
}

enum { VMM_CONVERTS, VMM_KILLS, VMM_IGNORES, VMM_REFUSES };
struct hypercall {
  uint64_t gpa, pages, attributes;
  unsigned cpl;
  int vmm, punches; /* how user space answers the exit */
};
HELPER struct answer map_gpa_range(int vcpu, struct hypercall wanted) {
  prepare_guest(vcpu);
  const int vm = vcpus[vcpu].vm;
  struct kvm_regs regs = {.rip = GUEST_GPA + (is_amd() ? ENTRY_VMMCALL : ENTRY_VMCALL),
                          .rax = HC_MAP_GPA_RANGE,
                          .rbx = wanted.gpa,
                          .rcx = wanted.pages,
                          .rdx = wanted.attributes,
                          .rflags = wanted.cpl == 0 ? 0 : 0x3000};
  if (wanted.cpl != 0) set_privilege(vcpu, wanted.cpl, 0);
  struct answer out = enter_guest(vcpu, regs);
  if (out.kind != EXIT || out.number != KVM_EXIT_HYPERCALL) {
    set_privilege(vcpu, 0, 0);
    out = of_rax(out);
    out.value = 0;
    return out;
  }
  const struct kvm_run* const run = vcpus[vcpu].run;
  out.exit.flags = 0;
  out.exit.gpa = run->hypercall.args[0];
  out.exit.size = run->hypercall.args[1];
  out.exit.attributes = run->hypercall.args[2];
  if (wanted.vmm == VMM_KILLS) {
    destroy_vm(vm);
    return out;
  }
  if (wanted.vmm == VMM_IGNORES) {
    finish_hypercall(vcpu, 0);
    return out;
  }
  const int to_private = (wanted.attributes & 0x10) != 0;
  const struct attributes range = {.address = wanted.gpa,
                                   .size = wanted.pages * PAGE,
                                   .attributes = to_private ? ATTRIBUTE_PRIVATE : 0};
  const int converted = wanted.vmm != VMM_REFUSES && set_memory_attributes(vm, range).kind == OK;
  if (converted && !to_private && wanted.punches) punch(vm, range.address, range.size);
  const struct answer finished =
      finish_hypercall(vcpu, converted ? 0 : (uint64_t) - (int64_t)EINVAL);
  if (finished.kind != OK) return finished;
  const struct answer returned = of_rax(finished);
  out.kind = returned.kind;
  out.number = returned.number;
  return out;
}

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Not every program needs all of what follows. */
#define HELPER static __attribute__((unused))

/* What an older <linux/kvm.h> lacks, under names of our own, which a newer one cannot clash with.
 */
struct region2 {
  uint32_t slot, flags;
  uint64_t guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
  uint32_t guest_memfd, pad1;
  uint64_t pad2[14];
};
struct attributes {
  uint64_t address, size, attributes, flags;
};
struct create_gmem {
  uint64_t size, flags, reserved[6];
};
struct pre_fault {
  uint64_t gpa, size, flags, padding[5];
};
struct memory_fault { /* in kvm_run, from the union on */
  uint64_t flags, gpa, size;
};
#define SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct region2)
#define SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct attributes)
#define CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct create_gmem)
#define PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct pre_fault)
#define CAP_EXIT_HYPERCALL 201
#define CAP_DISABLE_QUIRKS2 213
#define QUIRK_SLOT_ZAP_ALL (1ull << 7)
#define HC_MAP_GPA_RANGE 12
#define EXIT_MEMORY_FAULT 39
#define MEM_GUEST_MEMFD 4u
#define ATTRIBUTE_PRIVATE 8u

#define PAGE 4096ull
#define REGION_BYTES (64ull << 20) /* the host memory behind the slots */
#define OPERATION_SECONDS 5
enum { VMS = 2, VCPUS = 4, GMEMS = 4, SLOTS = 64 };
enum { NO_GMEM = -1, OTHER_FILE = -2 };

/* What a step came to. */
enum kind { OK, ERRNO, EXIT, RAX, HOST_FAULT, LOOPS };
struct answer {
  enum kind kind;
  unsigned number; /* errno, exit reason, signal, as the kind says */
  int has_progress, has_value;
  uint64_t gpa, left, value; /* the rest of a range; what was read */
  struct {
    uint32_t reason, flags;
    uint64_t gpa, size, attributes;
  } exit;
};

struct slot {
  uint32_t slot;
  uint64_t gpa, size, gmem_offset;
  int gmem;
};
static struct {
  int fd, count, has_guest;
  struct slot slots[SLOTS];
} vms[VMS];
static struct {
  int fd, vm, has_cpuid, in_long_mode, exit_in_hand;
  struct kvm_run* run;
} vcpus[VCPUS];
static int kvm_fd = -1, gmems[GMEMS];
static size_t run_bytes;
static unsigned char* region;
static int steps, different;

static void give_up(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(3);
}

/* An ioctl that may take for ever; a signal ends it then, with EINTR. */
static int call(int fd, unsigned long request, void* argument) {
  alarm(OPERATION_SECONDS);
  const int result = ioctl(fd, request, argument);
  const int error = errno;
  alarm(0);
  errno = error;
  return result;
}
HELPER struct answer status(int result) {
  struct answer out = {.kind = OK};
  if (result < 0) out.kind = ERRNO, out.number = (unsigned)errno;
  return out;
}

/* -1 with errno but for EINVAL, which says that this KVM has no such capability or value. */
HELPER int enable(int fd, unsigned cap, unsigned long long value) {
  struct kvm_enable_cap what = {.cap = cap, .args = {value}};
  const int enabled = call(fd, KVM_ENABLE_CAP, &what);
  return enabled < 0 && errno == EINVAL ? 0 : enabled;
}

HELPER struct answer create_vm(int vm, unsigned long type, int exit_hypercall, int slot_zap_all) {
  const int fd = call(kvm_fd, KVM_CREATE_VM, (void*)type);
  if (fd < 0) return status(fd);
  int done = 0;
  if (exit_hypercall) done = enable(fd, CAP_EXIT_HYPERCALL, 1ull << HC_MAP_GPA_RANGE);
  if (done >= 0 && !slot_zap_all) done = enable(fd, CAP_DISABLE_QUIRKS2, QUIRK_SLOT_ZAP_ALL);
  if (done < 0) return status(done);
  vms[vm].fd = fd;
  vms[vm].count = vms[vm].has_guest = 0;
  return status(0);
}
HELPER struct answer destroy_vm(int vm) {
  for (int i = 0; i < VCPUS; ++i) {
    if (vcpus[i].fd < 0 || vcpus[i].vm != vm) continue;
    munmap(vcpus[i].run, run_bytes);
    close(vcpus[i].fd);
    vcpus[i].fd = -1;
  }
  const int closed = close(vms[vm].fd);
  vms[vm].fd = -1;
  return status(closed);
}
HELPER struct answer create_vcpu(int vm, int vcpu) {
  const int fd = call(vms[vm].fd, KVM_CREATE_VCPU, (void*)(unsigned long)vcpu);
  if (fd < 0) return status(fd);
  void* const run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (run == MAP_FAILED) give_up("mmap of a vCPU");
  memset(&vcpus[vcpu], 0, sizeof vcpus[vcpu]);
  vcpus[vcpu].fd = fd;
  vcpus[vcpu].vm = vm;
  vcpus[vcpu].run = run;
  return status(0);
}

/* MAXPHYADDR in the CPUID that KVM supports or, once the vCPU has one, in its own. */
HELPER struct answer set_cpuid(int vcpu, uint32_t phys_addr_bits) {
  static struct {
    uint32_t nent, padding;
    struct kvm_cpuid_entry2 entries[256];
  } table;
  table.nent = 256;
  const int has = vcpus[vcpu].has_cpuid;
  const int got = has ? call(vcpus[vcpu].fd, KVM_GET_CPUID2, &table)
                      : call(kvm_fd, KVM_GET_SUPPORTED_CPUID, &table);
  if (got < 0) return status(got);
  for (uint32_t i = 0; i < table.nent; ++i) {
    if (table.entries[i].function == 0x80000008) {
      table.entries[i].eax = (table.entries[i].eax & ~0xffu) | phys_addr_bits;
    }
  }
  const int set = call(vcpus[vcpu].fd, KVM_SET_CPUID2, &table);
  if (set == 0) vcpus[vcpu].has_cpuid = 1;
  return status(set);
}

/* System management mode on or off; all other events but an exception stay: one that an access
 * broken off left pending reads as injected, and the next access would die of it. */
HELPER struct answer set_smm(int vcpu, int smm) {
  struct kvm_vcpu_events events = {0};
  const int got = call(vcpus[vcpu].fd, KVM_GET_VCPU_EVENTS, &events);
  if (got < 0) return status(got);
  memset(&events.exception, 0, sizeof events.exception);
  events.flags |= KVM_VCPUEVENT_VALID_SMM;
  events.smi.smm = (uint8_t)smm;
  return status(call(vcpus[vcpu].fd, KVM_SET_VCPU_EVENTS, &events));
}

HELPER struct answer create_guest_memfd(int vm, int gmem, uint64_t size, uint64_t flags) {
  struct create_gmem create = {.size = size, .flags = flags};
  const int fd = call(vms[vm].fd, CREATE_GUEST_MEMFD, &create);
  if (fd >= 0) gmems[gmem] = fd;
  return status(fd < 0 ? fd : 0);
}
HELPER struct answer close_guest_memfd(int gmem) {
  for (int vm = 0; vm < VMS; ++vm) {
    for (int i = 0; i < vms[vm].count; ++i) {
      if (vms[vm].slots[i].gmem == gmem) vms[vm].slots[i].gmem = NO_GMEM;
    }
  }
  const int closed = close(gmems[gmem]);
  gmems[gmem] = -1;
  return status(closed);
}
HELPER struct answer file_allocate(int gmem, int mode, uint64_t offset, uint64_t size) {
  alarm(OPERATION_SECONDS);
  const int result = fallocate(gmems[gmem], mode, (off_t)offset, (off_t)size);
  const struct answer out = status(result);
  alarm(0);
  return out;
}

static void note_slot(int vm, const struct region2* wanted, int gmem) {
  struct slot *at = vms[vm].slots, *const end = at + vms[vm].count;
  while (at != end && at->slot != wanted->slot) ++at;
  if (wanted->memory_size == 0) {
    if (at != end) *at = vms[vm].slots[--vms[vm].count];
    return;
  }
  if (at == end) ++vms[vm].count;
  at->slot = wanted->slot;
  at->gpa = wanted->guest_phys_addr;
  at->size = wanted->memory_size;
  at->gmem_offset = wanted->guest_memfd_offset;
  at->gmem = gmem;
}
HELPER struct answer set_memory_region(int vm, struct region2 wanted, int gmem) {
  int fd = -1;
  if (gmem >= 0) fd = gmems[gmem];
  if (gmem == OTHER_FILE) fd = kvm_fd;
  wanted.guest_memfd = (uint32_t)fd;
  const int result = call(vms[vm].fd, SET_USER_MEMORY_REGION2, &wanted);
  if (result == 0) note_slot(vm, &wanted, (wanted.flags & MEM_GUEST_MEMFD) != 0 ? gmem : NO_GMEM);
  return status(result);
}
HELPER struct answer set_memory_region_legacy(int vm, struct region2 wanted) {
  struct kvm_userspace_memory_region old = {.slot = wanted.slot,
                                            .flags = wanted.flags,
                                            .guest_phys_addr = wanted.guest_phys_addr,
                                            .memory_size = wanted.memory_size,
                                            .userspace_addr = wanted.userspace_addr};
  const int result = call(vms[vm].fd, KVM_SET_USER_MEMORY_REGION, &old);
  if (result == 0) note_slot(vm, &wanted, NO_GMEM);
  return status(result);
}
/* An address in the host region. */
HELPER uint64_t host(uint64_t offset) { return (uint64_t)(uintptr_t)region + offset; }

HELPER struct answer set_memory_attributes(int vm, struct attributes wanted) {
  return status(call(vms[vm].fd, SET_MEMORY_ATTRIBUTES, &wanted));
}

static void take_memory_fault(const struct kvm_run* run, struct answer* out) {
  struct memory_fault fault;
  memcpy(&fault, &run->hw, sizeof fault);
  out->exit.reason = EXIT_MEMORY_FAULT;
  out->exit.flags = (uint32_t)fault.flags;
  out->exit.gpa = fault.gpa;
  out->exit.size = fault.size;
}
HELPER struct answer pre_fault_memory(int vcpu, struct pre_fault range) {
  vcpus[vcpu].run->exit_reason = KVM_EXIT_UNKNOWN;
  struct answer out = status(call(vcpus[vcpu].fd, PRE_FAULT_MEMORY, &range));
  out.has_progress = 1;
  out.gpa = range.gpa;
  out.left = range.size;
  /* A private fault that failed leaves its exit behind, also where others succeeded. */
  const int interrupted = out.kind == ERRNO && out.number == EINTR;
  if (!interrupted && vcpus[vcpu].run->exit_reason == EXIT_MEMORY_FAULT) {
    take_memory_fault(vcpus[vcpu].run, &out);
  }
  return out;
}

static sigjmp_buf touch_failed;
static void on_fault(int number) { siglongjmp(touch_failed, number); }
static void on_alarm(int number) { (void)number; }

static struct answer touch_at(unsigned char* page, int writes, uint64_t value) {
  volatile uint64_t* const at = (volatile uint64_t*)(void*)page;
  const int number = sigsetjmp(touch_failed, 1);
  if (number != 0) return (struct answer){.kind = HOST_FAULT, .number = (unsigned)number};
  if (!writes) return (struct answer){.kind = OK, .has_value = 1, .value = *at};
  *at = value;
  return (struct answer){.kind = OK};
}
HELPER struct answer touch(uint64_t offset, int writes, uint64_t value) {
  return touch_at(region + (offset & ~(PAGE - 1)), writes, value);
}
HELPER struct answer touch_file(int gmem, uint64_t offset, int writes, uint64_t value) {
  unsigned char* const page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmems[gmem],
                                   (off_t)(offset & ~(PAGE - 1)));
  if (page == MAP_FAILED) return status(-1);
  const struct answer out = touch_at(page, writes, value);
  munmap(page, PAGE);
  return out;
}
HELPER struct answer file_read(int gmem, uint64_t offset) { return touch_file(gmem, offset, 0, 0); }
HELPER struct answer file_write(int gmem, uint64_t offset, uint64_t value) {
  return touch_file(gmem, offset, 1, value);
}
HELPER struct answer host_read(uint64_t offset) { return touch(offset, 0, 0); }
HELPER struct answer host_write(uint64_t offset, uint64_t value) { return touch(offset, 1, value); }
static unsigned char is_hole[REGION_BYTES / PAGE];
/* Keeps a hole one: the next mmap, a vCPU's among them, would be put there. */
static void reserve(uint64_t offset, uint64_t size) {
  if (mmap(region + offset, size, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
    give_up("mmap of a hole");
  }
}
HELPER struct answer host_unmap(uint64_t offset, uint64_t size) {
  const struct answer out = status(munmap(region + offset, size));
  if (out.kind != OK) return out;
  reserve(offset, size);
  for (uint64_t at = 0; at < size; at += PAGE) is_hole[(offset + at) / PAGE] = 1;
  return out;
}
HELPER struct answer host_dontneed(uint64_t offset, uint64_t size) {
  struct answer out;
  uint64_t at;
  for (at = offset; at < offset + size; at += PAGE) {
    if (is_hole[at / PAGE]) munmap(region + (at & ~(PAGE - 1)), PAGE);
  }
  out = status(madvise(region + offset, size, MADV_DONTNEED));
  for (at = offset; at < offset + size; at += PAGE) {
    if (is_hole[at / PAGE]) reserve(at & ~(PAGE - 1), PAGE);
  }
  return out;
}
/* NUMA balancing comes when it comes: a change of protection tells the notifier the same. */
HELPER struct answer numa_balancing(uint64_t offset, uint64_t size) {
  struct answer out = {.kind = OK};
  uint64_t at;
  for (at = offset & ~(PAGE - 1); at < offset + size && out.kind == OK; at += PAGE) {
    if (is_hole[at / PAGE]) continue;
    out = status(mprotect(region + at, PAGE, PROT_NONE));
    if (out.kind == OK) out = status(mprotect(region + at, PAGE, PROT_READ | PROT_WRITE));
  }
  return out;
}

static void print_answer(const char* who, const struct answer* a) {
  static const char* const kinds[] = {"ok", "errno", "exit", "RAX = -", "host fault", "loops"};
  printf("    %-6s %s", who, kinds[a->kind]);
  if (a->kind == ERRNO) printf(" %u (%s)", a->number, strerror((int)a->number));
  if (a->kind == RAX) printf("%u", a->number);
  if (a->kind == EXIT || a->kind == HOST_FAULT) printf(" %u", a->number);
  if (a->has_progress) {
    printf(", gpa %#llx, left %#llx", (unsigned long long)a->gpa, (unsigned long long)a->left);
  }
  if (a->has_value) printf(", value %#llx", (unsigned long long)a->value);
  if (a->exit.reason != 0) {
    printf(", exit reason %u, flags %#x, gpa %#llx, size %#llx, attributes %#llx", a->exit.reason,
           a->exit.flags, (unsigned long long)a->exit.gpa, (unsigned long long)a->exit.size,
           (unsigned long long)a->exit.attributes);
  }
  printf("\n");
}

/* What both know is compared. */
static int same(const struct answer* a, const struct answer* b) {
  if (a->kind != b->kind || a->number != b->number) return 0;
  if (a->has_progress && b->has_progress && (a->gpa != b->gpa || a->left != b->left)) return 0;
  if (a->has_value && b->has_value && a->value != b->value) return 0;
  return a->exit.reason == b->exit.reason && a->exit.flags == b->exit.flags &&
         a->exit.gpa == b->exit.gpa && a->exit.size == b->exit.size &&
         a->exit.attributes == b->exit.attributes;
}

HELPER void step(int line, const char* text, struct answer got, struct answer model) {
  const int equal = same(&got, &model);
  ++steps;
  different += !equal;
  printf("%s line %d: %s\n", equal ? "same     " : "DIFFERENT", line, text);
  print_answer("kernel", &got);
  print_answer("model", &model);
}

static void begin(void) {
  struct utsname name;
  struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART: the call returns */
  sigaction(SIGALRM, &action, NULL);
  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm_fd < 0) give_up("/dev/kvm");
  const int bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (bytes < 0) give_up("KVM_GET_VCPU_MMAP_SIZE");
  run_bytes = (size_t)bytes;
  const size_t huge = 2u << 20;
  unsigned char* const mapping = mmap(NULL, REGION_BYTES + huge, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) give_up("mmap of the host region");
  region = (unsigned char*)(((uintptr_t)mapping + huge - 1) & ~(uintptr_t)(huge - 1));
  for (int i = 0; i < VMS; ++i) vms[i].fd = -1;
  for (int i = 0; i < VCPUS; ++i) vcpus[i].fd = -1;
  for (int i = 0; i < GMEMS; ++i) gmems[i] = -1;
  if (uname(&name) == 0) printf("kernel %s\n", name.release);
}
static int end(void) {
  printf("%d steps, %d different\n", steps, different);
  return different == 0 ? 0 : 1;
}

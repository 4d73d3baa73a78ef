/* For tests, linked beside an exported program: answers it in the place of /dev/kvm, with a page
 * fault of every vCPU pending, and prints the events that a vCPU is told to have. The program finds
 * these functions before those of the C library. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RUN_BYTES = 3 * 4096, PAGE_FAULT = 14 };

/* A descriptor to which a kvm_run can be mapped. */
static int object(void) {
  const int fd = memfd_create("kvm", MFD_CLOEXEC);
  return fd >= 0 && ftruncate(fd, RUN_BYTES) == 0 ? fd : -1;
}

int open(const char* path, int flags, ...) {
  (void)flags;
  if (strcmp(path, "/dev/kvm") == 0) return object();
  errno = ENOENT;
  return -1;
}

/* KVM shows as injected what is pending (kvm_vcpu_ioctl_x86_get_vcpu_events()). */
static int get_events(struct kvm_vcpu_events* events) {
  memset(events, 0, sizeof *events);
  events->exception.injected = 1;
  events->exception.nr = PAGE_FAULT;
  events->exception.has_error_code = 1;
  events->exception.error_code = 2;
  events->nmi.masked = 1;
  return 0;
}
static int set_events(const struct kvm_vcpu_events* events) {
  printf("set injected=%d pending=%d nr=%d has_error_code=%d error_code=%u, masked=%d, ",
         events->exception.injected, events->exception.pending, events->exception.nr,
         events->exception.has_error_code, events->exception.error_code, events->nmi.masked);
  printf("valid_smm=%d smm=%d\n", (events->flags & KVM_VCPUEVENT_VALID_SMM) != 0, events->smi.smm);
  return 0;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  (void)fd;
  switch (request) {
    case KVM_GET_VCPU_MMAP_SIZE:
      return RUN_BYTES;
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
      return object();
    case KVM_ENABLE_CAP:
      return 0;
    case KVM_GET_VCPU_EVENTS:
      return get_events(argument);
    case KVM_SET_VCPU_EVENTS:
      return set_events(argument);
    default:
      errno = ENOTTY;
      return -1;
  }
}

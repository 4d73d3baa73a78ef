/* SPDX-License-Identifier: GPL-2.0-only
 *
 * Opens performance events for another process and passes their descriptors back; the caller reads
 * them itself. A program of its own for two reasons: it links the kernel's libperf, which is
 * GPL-2.0-only (this folder is; LICENSE), and only it needs CAP_PERFMON where the kernel is strict.
 * It shares no file with the callers; this comment is the whole protocol.
 *
 *   sluice-counterd SOCKET_FD PID EVENT...
 *
 * SOCKET_FD is a connected Unix SOCK_SEQPACKET socket that the caller leaves open for us. For each
 * EVENT, in order, one message goes out: the errno of opening it as decimal text, with the event's
 * descriptor attached (SCM_RIGHTS) if that is 0. A descriptor answers read(2) with three 64-bit
 * words: the count, the nanoseconds the event was enabled, and those it really counted. Events
 * count PID's first thread and every thread and child started after that. EVENT: a name of the
 * table below, or SUBSYSTEM:NAME for a tracepoint. An unknown name gets errno EINVAL, a tracepoint
 * that the kernel does not have (or does not show us) ENOENT or EACCES. Exit status: 0, or 2 for
 * wrong arguments or a socket that does not take messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <perf/core.h>
#include <perf/evsel.h>
#include <perf/threadmap.h>
/* The library has no public way to get at a descriptor. */
#include <internal/evsel.h>
#include <internal/xyarray.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define CACHE_EVENT(cache, op, result)                                \
  (PERF_COUNT_HW_CACHE_##cache | (PERF_COUNT_HW_CACHE_OP_##op << 8) | \
   (PERF_COUNT_HW_CACHE_RESULT_##result << 16))

static const struct known_event {
  const char* name;
  unsigned type;
  unsigned long long config;
} known_events[] = {
    {"page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
    {"minor_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
    {"major_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
    {"context_switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
    {"cpu_migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
    {"task_clock_ns", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
    {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
    {"branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
    {"cache_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    {"dtlb_load_misses", PERF_TYPE_HW_CACHE, CACHE_EVENT(DTLB, READ, MISS)},
};

static int be_silent(enum libperf_print_level level, const char* format, va_list arguments) {
  (void)level;
  (void)format;
  (void)arguments;
  return 0; /* the errno of each event goes to the caller, who knows what it means there */
}

/* The id of tracepoint "subsystem:name", or a negative errno. */
static long tracepoint_id(const char* event) {
  static const char* const folders[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
  const char* colon = strchr(event, ':');
  const int subsystem_length = (int)(colon - event);
  long failure = -ENOENT;
  if (strchr(event, '/') || strchr(event, '.')) return -EINVAL; /* stays below the folder */
  for (size_t i = 0; i < ARRAY_LENGTH(folders); ++i) {
    char path[512];
    if (snprintf(path, sizeof path, "%s/events/%.*s/%s/id", folders[i], subsystem_length, event,
                 colon + 1) >= (int)sizeof path)
      return -EINVAL;
    FILE* file = fopen(path, "re");
    if (!file) {
      if (errno != ENOENT) failure = -errno;
      continue;
    }
    long id;
    const int got = fscanf(file, "%ld", &id);
    fclose(file);
    return got == 1 && id >= 0 ? id : -EIO;
  }
  return failure;
}

/* Fills type and config of the event's attributes; 0 or an errno. */
static int describe(const char* event, struct perf_event_attr* attributes) {
  for (size_t i = 0; i < ARRAY_LENGTH(known_events); ++i) {
    if (strcmp(event, known_events[i].name) == 0) {
      attributes->type = known_events[i].type;
      attributes->config = known_events[i].config;
      return 0;
    }
  }
  if (!strchr(event, ':')) return EINVAL;
  const long id = tracepoint_id(event);
  if (id < 0) return (int)-id;
  attributes->type = PERF_TYPE_TRACEPOINT;
  attributes->config = (unsigned long long)id;
  return 0;
}

static int send_answer(int socket_fd, int error, const int* descriptor) {
  char text[16];
  const int length = snprintf(text, sizeof text, "%d", error);
  struct iovec part = {.iov_base = text, .iov_len = (size_t)length};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  memset(&control, 0, sizeof control);
  if (descriptor) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), descriptor, sizeof *descriptor);
  }
  return sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int open_and_send(int socket_fd, pid_t pid, const char* event) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.inherit = 1;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  int error = describe(event, &attributes);
  if (error) return send_answer(socket_fd, error, NULL);

  struct perf_thread_map* threads = perf_thread_map__new_dummy();
  struct perf_evsel* event_selector = perf_evsel__new(&attributes);
  int sent;
  if (!threads || !event_selector) {
    sent = send_answer(socket_fd, ENOMEM, NULL);
  } else {
    perf_thread_map__set_pid(threads, 0, pid);
    error = -perf_evsel__open(event_selector, NULL, threads);
    sent = error ? send_answer(socket_fd, error, NULL)
                 : send_answer(socket_fd, 0, (const int*)xyarray__entry(event_selector->fd, 0, 0));
    if (!error) perf_evsel__close(event_selector);
  }
  perf_evsel__delete(event_selector);
  perf_thread_map__put(threads);
  return sent;
}

static int parse_number(const char* text, long* to) {
  char* end;
  errno = 0;
  *to = strtol(text, &end, 10);
  return errno == 0 && *text && !*end && *to >= 0 ? 0 : -1;
}

int main(int argc, char** argv) {
  long socket_fd;
  long pid;
  if (argc < 4 || parse_number(argv[1], &socket_fd) || parse_number(argv[2], &pid) || pid == 0) {
    fprintf(stderr,
            "usage: %s SOCKET_FD PID EVENT...   (started by the benchmarks, see counterd.c)\n",
            argc > 0 ? argv[0] : "sluice-counterd");
    return 2;
  }
  libperf_init(be_silent);
  for (int i = 3; i < argc; ++i) {
    if (open_and_send((int)socket_fd, (pid_t)pid, argv[i]) != 0) {
      fprintf(stderr, "%s: answer for event %s: %s\n", argv[0], argv[i], strerror(errno));
      return 2;
    }
  }
  return 0;
}

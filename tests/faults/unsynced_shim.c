/* SPDX-License-Identifier: Apache-2.0
 *
 * A power cut for one process, by LD_PRELOAD. Every write, truncation and allocation of a file
 * under FULCRUM_SHIM_DIR is remembered until that file is synced. At a random operation all that is
 * not synced is taken back from the files and the process ends with status 137. A process that
 * acknowledged something before syncing it is so found out, which SIGKILL cannot do: the page cache
 * survives that.
 *
 *   FULCRUM_SHIM_DIR    absolute path of the directory to watch
 *   FULCRUM_SHIM_AFTER  how many operations go well before the cut
 *   FULCRUM_SHIM_SEED   of the random choices
 *   FULCRUM_SHIM_MODE   drop (default): nothing unsynced survives; tear: of each file a random
 *                       selection of unsynced operations does, whole or as some of its sectors
 *
 * A sync is only noted, not made, so many cuts run in a short time. What it takes as durable at
 * once: making, renaming and removing a file. SQLite's -shm files are left alone: they are shared
 * memory that is rebuilt at every first opening.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kMaxFds = 4096, kMaxFiles = 256, kSector = 512 };
enum { kUnknown = 0, kIgnored = -1 }; /* fd_file: else index of the file plus 1 */

typedef struct {
  int is_write; /* else the size became `offset` */
  off_t offset;
  size_t size;
  unsigned char* data;
  off_t old_size;
  off_t old_offset; /* old bytes begin here */
  size_t old_length;
  unsigned char* old;
} Op;

typedef struct {
  dev_t device;
  ino_t inode;
  int fd; /* our own, for reading and writing */
  Op* ops;
  size_t count;
  size_t capacity;
} File;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int fd_file[kMaxFds];
static File files[kMaxFiles];
static int file_count;
static long long operations_left = -1;
static uint64_t random_state = 1;
static const char* directory;
static int tear;

static ssize_t (*real_write)(int, const void*, size_t);
static ssize_t (*real_pwrite)(int, const void*, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_close)(int);
static int (*real_open)(const char*, int, ...);
static int (*real_fallocate)(int, int, off_t, off_t);

static void Die(const char* why) {
  fprintf(stderr, "unsynced_shim: %s\n", why);
  _exit(99);
}

__attribute__((constructor)) static void Begin(void) {
  real_write = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
  real_pwrite = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
  real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
  real_open = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open64");
  real_fallocate = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate64");
  directory = getenv("FULCRUM_SHIM_DIR");
  const char* after = getenv("FULCRUM_SHIM_AFTER");
  const char* seed = getenv("FULCRUM_SHIM_SEED");
  const char* mode = getenv("FULCRUM_SHIM_MODE");
  if (after != NULL) operations_left = atoll(after);
  if (seed != NULL) random_state = (uint64_t)atoll(seed) * 2654435769u + 1;
  tear = mode != NULL && strcmp(mode, "tear") == 0;
}

static uint64_t Random(void) { /* splitmix64 */
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int EndsWith(const char* text, const char* end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* The file behind fd when it is watched, else NULL. The lock is held. */
static File* Watched(int fd) {
  if (fd < 0 || fd >= kMaxFds || directory == NULL) return NULL;
  if (fd_file[fd] == kIgnored) return NULL;
  if (fd_file[fd] != kUnknown) return &files[fd_file[fd] - 1];
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  struct stat info;
  if (size < 0) return NULL;
  path[size] = 0;
  fd_file[fd] = kIgnored;
  if (strncmp(path, directory, strlen(directory)) != 0 || EndsWith(path, "-shm") ||
      fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return NULL;
  }
  for (int i = 0; i < file_count; ++i) {
    if (files[i].device == info.st_dev && files[i].inode == info.st_ino) {
      fd_file[fd] = i + 1;
      return &files[i];
    }
  }
  if (file_count == kMaxFiles) Die("too many files");
  const int own = real_open(link, O_RDWR | O_CLOEXEC);
  if (own < 0) return NULL; /* Opened for reading only, and not writable: nothing to watch. */
  if (own < kMaxFds) fd_file[own] = kIgnored;
  files[file_count] = (File){info.st_dev, info.st_ino, own, NULL, 0, 0};
  fd_file[fd] = ++file_count;
  return &files[file_count - 1];
}

static off_t SizeOf(const File* file) {
  struct stat info;
  if (fstat(file->fd, &info) != 0) Die("fstat");
  return info.st_size;
}

static void TakeBack(const Op* op, int fd) {
  if (real_ftruncate(fd, op->old_size) != 0) Die("taking back a size");
  if (op->old_length > 0 &&
      real_pwrite(fd, op->old, op->old_length, op->old_offset) != (ssize_t)op->old_length) {
    Die("taking back bytes");
  }
}

/* What a disk may have kept of an operation that was never synced. */
static void MaybeKeep(const Op* op, int fd) {
  const uint64_t choice = Random() % 3;
  if (choice == 0) return;
  if (!op->is_write) {
    if (real_ftruncate(fd, op->offset) != 0) Die("keeping a size");
    return;
  }
  for (size_t at = 0; at < op->size; at += kSector) {
    const size_t size = op->size - at < kSector ? op->size - at : kSector;
    if (choice == 1 && Random() % 2 == 0) continue;
    if (real_pwrite(fd, op->data + at, size, op->offset + (off_t)at) < 0) Die("keeping bytes");
  }
}

static void PowerCut(void) {
  for (int i = 0; i < file_count; ++i) {
    File* file = &files[i];
    for (size_t n = file->count; n > 0; --n) TakeBack(&file->ops[n - 1], file->fd);
    if (!tear) continue;
    for (size_t n = 0; n < file->count; ++n) MaybeKeep(&file->ops[n], file->fd);
  }
  _exit(137);
}

/* Counts an operation; the lock is held, and stays held through the cut. */
static void Tick(void) {
  if (operations_left < 0) return;
  if (operations_left-- == 0) PowerCut();
}

static Op* NewOp(File* file) {
  if (file->count == file->capacity) {
    file->capacity = file->capacity == 0 ? 64 : 2 * file->capacity;
    file->ops = realloc(file->ops, file->capacity * sizeof(Op));
    if (file->ops == NULL) Die("memory");
  }
  Op* op = &file->ops[file->count++];
  memset(op, 0, sizeof *op);
  op->old_size = SizeOf(file);
  return op;
}

static void SaveOld(File* file, Op* op, off_t from, off_t to) {
  if (to > op->old_size) to = op->old_size;
  if (from >= to) return;
  op->old_offset = from;
  op->old_length = (size_t)(to - from);
  op->old = malloc(op->old_length);
  if (op->old == NULL ||
      pread(file->fd, op->old, op->old_length, from) != (ssize_t)op->old_length) {
    Die("saving bytes");
  }
}

static void NoteWrite(File* file, const void* data, size_t size, off_t offset) {
  Op* op = NewOp(file);
  op->is_write = 1;
  op->offset = offset;
  op->size = size;
  op->data = malloc(size > 0 ? size : 1);
  if (op->data == NULL) Die("memory");
  memcpy(op->data, data, size);
  SaveOld(file, op, offset, offset + (off_t)size);
}

static void NoteSize(File* file, off_t size) {
  Op* op = NewOp(file);
  op->offset = size;
  SaveOld(file, op, size, op->old_size);
}

static void Forget(File* file) {
  for (size_t i = 0; i < file->count; ++i) {
    free(file->ops[i].data);
    free(file->ops[i].old);
  }
  file->count = 0;
}

static ssize_t WriteAt(int fd, const void* data, size_t size, off_t offset) {
  pthread_mutex_lock(&lock);
  File* file = Watched(fd);
  if (file != NULL) {
    Tick();
    NoteWrite(file, data, size, offset);
  }
  const ssize_t written = real_pwrite(fd, data, size, offset);
  pthread_mutex_unlock(&lock);
  return written;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return WriteAt(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return WriteAt(fd, data, size, offset);
}

ssize_t write(int fd, const void* data, size_t size) {
  if (real_write == NULL) Begin();
  pthread_mutex_lock(&lock);
  File* file = Watched(fd);
  if (file != NULL) {
    const int append = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    Tick();
    NoteWrite(file, data, size, append ? SizeOf(file) : lseek(fd, 0, SEEK_CUR));
  }
  /* Only for the order of operations: a pipe may block, and must not hold the others up. */
  if (file == NULL) pthread_mutex_unlock(&lock);
  const ssize_t written = real_write(fd, data, size);
  if (file != NULL) pthread_mutex_unlock(&lock);
  return written;
}

static int SetSize(int fd, off_t size) {
  pthread_mutex_lock(&lock);
  File* file = Watched(fd);
  if (file != NULL) {
    Tick();
    NoteSize(file, size);
  }
  const int result = real_ftruncate(fd, size);
  pthread_mutex_unlock(&lock);
  return result;
}

int ftruncate(int fd, off_t size) { return SetSize(fd, size); }
int ftruncate64(int fd, off64_t size) { return SetSize(fd, size); }

int fallocate(int fd, int mode, off_t offset, off_t size) {
  pthread_mutex_lock(&lock);
  File* file = Watched(fd);
  if (file != NULL) {
    if (mode != 0) Die("fallocate with a mode is not modelled");
    Tick();
    NoteSize(file, SizeOf(file)); /* Taking it back restores the size. */
  }
  const int result = real_fallocate(fd, mode, offset, size);
  pthread_mutex_unlock(&lock);
  return result;
}

static int Sync(int fd, int (*real)(int)) {
  pthread_mutex_lock(&lock);
  File* file = Watched(fd);
  if (file != NULL) {
    Tick();
    Forget(file);
  }
  pthread_mutex_unlock(&lock);
  return file != NULL ? 0 : real(fd);
}

int fsync(int fd) { return Sync(fd, real_fsync); }
int fdatasync(int fd) { return Sync(fd, real_fdatasync); }

int close(int fd) {
  if (real_close == NULL) Begin();
  pthread_mutex_lock(&lock);
  if (fd >= 0 && fd < kMaxFds) fd_file[fd] = kUnknown;
  const int result = real_close(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

static int Open(const char* path, int flags, mode_t mode) {
  if (real_open == NULL) Begin();
  pthread_mutex_lock(&lock);
  /* Emptied only after it was noted, so that it can be taken back. */
  const int fd = real_open(path, flags & ~O_TRUNC, mode);
  if (fd >= 0 && fd < kMaxFds) fd_file[fd] = kUnknown;
  if (fd >= 0 && (flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY) {
    File* file = Watched(fd);
    if (file != NULL) {
      Tick();
      NoteSize(file, 0);
    }
    if (real_ftruncate(fd, 0) != 0 && file != NULL) Die("emptying a file");
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Open(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Open(path, flags, mode);
}

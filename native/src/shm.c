/*
 * Files of /dev/shm, as home packs them (java: ipc.SharedFiles). A line for each, the data after it:
 *
 *   d MODE UID GID NAME            a directory; MODE in octal
 *   f MODE UID GID SIZE NAME       a file, all of it holes
 *   x OFFSET LENGTH                of the file before: LENGTH bytes follow
 *   l NAME                         another name (hard link) of the file before
 *
 * Names are relative to /dev/shm.
 */
#include "shm.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char shm[] = "/dev/shm";

struct unpacking {
    FILE *packed;
    int directory;
    int file; /* the one before, or -1 */
    char name[PATH_MAX];
};

/* The directory is root's and fresh, so no link in it leads elsewhere; names could. */
static bool is_inside(const char *name)
{
    if (!*name || *name == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0)
        return false;
    return !strstr(name, "/../") && (strlen(name) < 3 || strcmp(name + strlen(name) - 3, "/..") != 0);
}

static int leave_file(struct unpacking *to)
{
    int error = to->file >= 0 && close(to->file) < 0 ? -errno : 0;

    to->file = -1;
    return error;
}

static int make_directory(struct unpacking *to, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
    if (mkdirat(to->directory, name, 0700) < 0 || fchownat(to->directory, name, uid, gid, 0) < 0 ||
        fchmodat(to->directory, name, mode, 0) < 0)
        return -errno;
    return 0;
}

static int make_file(struct unpacking *to, const char *name, mode_t mode, uid_t uid, gid_t gid, off_t size)
{
    to->file = openat(to->directory, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to->file < 0)
        return -errno;
    snprintf(to->name, sizeof(to->name), "%s", name);
    if (ftruncate(to->file, size) < 0 || fchown(to->file, uid, gid) < 0 || fchmod(to->file, mode) < 0)
        return -errno;
    return 0;
}

static int fill(struct unpacking *to, off_t offset, size_t length)
{
    static char bytes[65536];

    if (to->file < 0 || lseek(to->file, offset, SEEK_SET) < 0)
        return -EINVAL;
    while (length > 0) {
        size_t part = length < sizeof(bytes) ? length : sizeof(bytes);
        int error;

        if (fread(bytes, 1, part, to->packed) != part)
            return -EIO;
        error = sys_write_all(to->file, bytes, part);
        if (error < 0)
            return error;
        length -= part;
    }
    return 0;
}

static int obey(struct unpacking *to, char *line)
{
    unsigned int mode;
    unsigned int uid;
    unsigned int gid;
    long long size;
    long long length;
    int name = 0;
    int error;

    if (sscanf(line, "x %lld %lld", &size, &length) == 2)
        return size < 0 || length < 0 ? -EINVAL : fill(to, size, (size_t)length);
    if (strncmp(line, "l ", 2) == 0) {
        if (!is_inside(line + 2) || to->file < 0)
            return -EINVAL;
        return linkat(to->directory, to->name, to->directory, line + 2, 0) < 0 ? -errno : 0;
    }
    error = leave_file(to);
    if (error < 0)
        return error;
    if (sscanf(line, "f %o %u %u %lld %n", &mode, &uid, &gid, &size, &name) == 4 && name &&
        is_inside(line + name))
        return make_file(to, line + name, mode, uid, gid, size);
    if (sscanf(line, "d %o %u %u %n", &mode, &uid, &gid, &name) == 3 && name && is_inside(line + name))
        return make_directory(to, line + name, mode, uid, gid);
    return -EINVAL;
}

static int unpack(struct unpacking *to)
{
    static char line[PATH_MAX + 128];
    int error = 0;

    while (error == 0 && fgets(line, sizeof(line), to->packed)) {
        size_t length = strlen(line);

        if (length == 0 || line[length - 1] != '\n')
            return -EINVAL;
        line[length - 1] = '\0';
        error = obey(to, line);
    }
    return error == 0 && ferror(to->packed) ? -EIO : error;
}

int shm_unpack(const char *packed, const char *directory)
{
    static struct unpacking to;
    int error;
    int left;

    to.file = -1;
    to.packed = fopen(packed, "re");
    if (!to.packed)
        return -errno;
    to.directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (to.directory < 0) {
        error = -errno;
        fclose(to.packed);
        return error;
    }
    error = unpack(&to);
    left = leave_file(&to);
    close(to.directory);
    fclose(to.packed);
    return error < 0 ? error : left;
}

int shm_make(const char *packed)
{
    if (mount("tmpfs", shm, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
        return -errno;
    return shm_unpack(packed, shm);
}

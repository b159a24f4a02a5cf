#include <dirent.h>

#include "image.h"

int count_files(const char *folder) {
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    for (struct dirent *d; (d = readdir(dir));) n += strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
    closedir(dir);
    return n;
}

void leave_folder(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *d; (d = readdir(dir));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..")) unlink(path_in(folder, d->d_name));
    closedir(dir);
    rmdir(folder);
}

const char *open_path_message(const char *folder, const char *path, gyr_status *status) {
    static char message[1024];
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open(path, &e);
    *status = c ? GYR_OK : e.status;
    const char *at = c ? NULL : strstr(e.message, folder);
    if (at)
        snprintf(message, sizeof message, "%.*sDIR%s", (int)(at - e.message), e.message, at + strlen(folder));
    else
        snprintf(message, sizeof message, "%s", c ? "" : e.message);
    checkpoint_close(c);
    return message;
}

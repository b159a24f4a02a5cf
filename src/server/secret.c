#include "server/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

bool secret_random(char *out, size_t size, gyr_error *e) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t n = 0; n < size;) {
        unsigned char bytes[64];
        ssize_t got = getrandom(bytes, sizeof bytes, 0);
        if (got < 0 && errno != EINTR)
            return fail(e, GYR_FAILED, "no random numbers from the system: %s", strerror(errno));
        for (ssize_t i = 0; i < got && n < size; i++) {
            unsigned char six = bytes[i] & 63; // 62 and 63 are drawn again: every letter is as likely
            if (six < 62) out[n++] = letters[six];
        }
    }
    out[size] = 0;
    return true;
}

bool secret_hash(const void *data, size_t size, unsigned char hash[SECRET_HASH]) {
    unsigned n = 0;
    return EVP_Digest(data, size, hash, &n, EVP_sha256(), NULL) == 1 && n == SECRET_HASH;
}

struct secret_hasher {
    EVP_MD_CTX *all, *copy;
};

struct secret_hasher *secret_hasher_new(void) {
    struct secret_hasher *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->all = EVP_MD_CTX_new();
    h->copy = EVP_MD_CTX_new();
    if (h->all && h->copy && EVP_DigestInit_ex(h->all, EVP_sha256(), NULL) == 1) return h;
    secret_hasher_free(h);
    return NULL;
}

bool secret_hasher_add(struct secret_hasher *h, const void *data, size_t size) {
    return EVP_DigestUpdate(h->all, data, size) == 1;
}

bool secret_hasher_get(struct secret_hasher *h, unsigned char hash[SECRET_HASH]) {
    unsigned n = 0;
    return EVP_MD_CTX_copy_ex(h->copy, h->all) == 1 && EVP_DigestFinal_ex(h->copy, hash, &n) == 1 && n == SECRET_HASH;
}

void secret_hasher_free(struct secret_hasher *h) {
    if (!h) return;
    EVP_MD_CTX_free(h->all);
    EVP_MD_CTX_free(h->copy);
    free(h);
}

bool secret_equal(const void *a, const void *b, size_t size) { return !CRYPTO_memcmp(a, b, size); }

void secret_forget(void *data, size_t size) { OPENSSL_cleanse(data, size); }

// Host, origin and key, as headers tell them.
#include "test.h"

#include "server/origin.h"
#include "server/secret.h"

static const char *const hosts[] = {"gyr.example", "box", NULL};
static const char *const sites[] = {"https://chat.example", "http://localhost:3000", NULL};
static const char *const any[] = {"*", NULL};
static const struct origin_rules nothing = {0}, some = {hosts, sites}, all = {NULL, any};

static void hosts_are_addresses_or_known_names(void) {
    static const struct {
        const char *host;
        bool bare, with_names;
    } tries[] = {
        {"localhost", true, true},
        {"localhost:8080", true, true},
        {"LocalHost.:8080", true, true},
        {"127.0.0.1:8080", true, true},
        {"192.168.1.20", true, true},
        {"[::1]:8080", true, true},
        {"[::1]", true, true},
        {"[fe80::1]:1", true, true},
        {"gyr.example", false, true},
        {"GYR.example:443", false, true},
        {"box", false, true},
        {"evil.example", false, false},
        {"localhost.evil.example", false, false},
        {"127.0.0.1.evil.example", false, false},
        {"evil.example:8080", false, false},
        {"", false, false},
        {":8080", false, false},
        {"localhost:", false, false},
        {"localhost:x", false, false},
        {"localhost:123456", false, false},
        {"localhost:80:80", false, false},
        {"localhost/evil", false, false},
        {"evil@localhost", false, false},
        {"localhost evil", false, false},
        {"::1", false, false},
        {"[::1", false, false},
        {"[::1]x", false, false},
        {"[localhost]", false, false},
        {"[127.0.0.1]", false, false},
        {"127.1", false, false},
        {"0x7f000001", false, false},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        if (origin_host_good(&nothing, tries[i].host) != tries[i].bare) printf("%s\n", tries[i].host);
        CHECK(origin_host_good(&nothing, tries[i].host) == tries[i].bare);
        CHECK(origin_host_good(&some, tries[i].host) == tries[i].with_names);
    }
    CHECK(!origin_host_good(&some, NULL));
    char longer[400];
    memset(longer, 'a', sizeof longer);
    longer[399] = 0;
    CHECK(!origin_host_good(&some, longer));
}

static void origins_are_own_or_named(void) {
    static const struct {
        const char *origin, *host;
        enum origin_verdict bare, named;
    } tries[] = {
        {NULL, "localhost", ORIGIN_NONE, ORIGIN_NONE},
        {"http://localhost:8080", "localhost:8080", ORIGIN_NONE, ORIGIN_NONE},
        {"http://LOCALHOST:8080", "localhost:8080", ORIGIN_NONE, ORIGIN_NONE},
        {"https://gyr.example", "gyr.example", ORIGIN_NONE, ORIGIN_NONE},
        {"https://gyr.example", "gyr.example:443", ORIGIN_NONE, ORIGIN_NONE},
        {"http://[::1]:8080", "[::1]:8080", ORIGIN_NONE, ORIGIN_NONE},
        {"http://localhost:8081", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"http://localhost:3000", "localhost:8080", ORIGIN_REFUSED, ORIGIN_ALLOWED},
        {"https://chat.example", "localhost:8080", ORIGIN_REFUSED, ORIGIN_ALLOWED},
        {"http://chat.example", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"https://chat.example.evil", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"https://evil", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"null", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"localhost:8080", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"file://", "localhost:8080", ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"http://localhost:8080", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
        {"*", "localhost", ORIGIN_REFUSED, ORIGIN_REFUSED},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        CHECK_INT(origin_judge(&nothing, tries[i].origin, tries[i].host), tries[i].bare);
        CHECK_INT(origin_judge(&some, tries[i].origin, tries[i].host), tries[i].named);
    }
    CHECK_INT(origin_judge(&all, "https://evil", "localhost"), ORIGIN_ALLOWED);
    CHECK_INT(origin_judge(&all, "null", "localhost"), ORIGIN_ALLOWED);
    CHECK_STR(origin_allow_header(&all, "https://x"), "*");
    CHECK_STR(origin_allow_header(&some, "https://chat.example"), "https://chat.example");
}

static const char *key(const char *authorization, const char *x_api_key) {
    static char text[64];
    struct text t = origin_key(authorization, x_api_key);
    snprintf(text, sizeof text, "%.*s", (int)t.size, t.data);
    return text;
}

static void keys_are_found_in_either_header(void) {
    CHECK_STR(key("Bearer gyr-1", NULL), "gyr-1");
    CHECK_STR(key("bearer \t gyr-1 ", "gyr-2"), "gyr-1");
    CHECK_STR(key(NULL, " gyr-2 "), "gyr-2");
    CHECK_STR(key("Basic eA==", "gyr-2"), "gyr-2");
    CHECK_STR(key("Bearer", "gyr-2"), "gyr-2");
    CHECK_STR(key("Bearer ", NULL), "");
    CHECK_STR(key("Bearergyr-1", NULL), "");
    CHECK_STR(key("Basic eA==", NULL), "");
    CHECK_STR(key(NULL, NULL), "");
    CHECK_STR(key(NULL, ""), "");
}

static void bytes_are_compared_to_the_end(void) {
    CHECK(secret_equal("abcd", "abcd", 4) && secret_equal("abcd", "abcx", 3) && secret_equal("", "", 0));
    CHECK(!secret_equal("abcd", "abcx", 4) && !secret_equal("xbcd", "abcd", 4));
    unsigned char hash[SECRET_HASH];
    static const unsigned char abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea}; // FIPS 180-2, appendix B.1
    CHECK(secret_hash("abc", 3, hash) && !memcmp(hash, abc, sizeof abc));
    char word[] = "secret";
    secret_forget(word, sizeof word);
    CHECK(!memcmp(word, "\0\0\0\0\0\0\0", 7));
}

int main(void) {
    RUN(hosts_are_addresses_or_known_names);
    RUN(origins_are_own_or_named);
    RUN(keys_are_found_in_either_header);
    RUN(bytes_are_compared_to_the_end);
    return test_end();
}

// Copies between cards, and what goes to those of other processes: a part of fake_driver.c.
#ifndef TESTS_DEVICE_GPU_FAKE_PEERS_H
#define TESTS_DEVICE_GPU_FAKE_PEERS_H

// With GYR_FAKE_LINKS=0 no card reaches another's memory by itself. A card is a context, or HIP's number of a device.
static int number_of(const void *peer) { return FAKE_IS_HIP ? (int)(long)peer : (int)((const int *)peer - card.lost); }

EXPORT NAME(cuDeviceCanAccessPeer, hipDeviceCanAccessPeer)(int *can, int device, int peer) {
    MAY_FAIL_ON(device, "peer_can");
    *can = device != peer && fake_number("GYR_FAKE_LINKS", 1);
    return 0;
}

EXPORT NAME(cuCtxEnablePeerAccess, hipDeviceEnablePeerAccess)(void *peer, unsigned flags) {
    MAY_FAIL_HERE("peer_open");
    int other = number_of(peer);
    if (flags || other == here || !fake_number("GYR_FAKE_LINKS", 1)) return NO_LINK;
    return card.links[here][other]++ ? LINKED : 0;
}

#ifndef FAKE_LACKS_COPY
static int is_of(const void *p, size_t n, int on) {
    for (struct piece *a = card.pieces; a; a = a->next)
        if ((const unsigned char *)p >= a->data && (const unsigned char *)p + n <= a->data + a->bytes)
            return a->on == on;
    return 0;
}

EXPORT NAME(cuMemcpyPeerAsync, hipMemcpyPeerAsync)(void *to, void *to_card, const void *from, void *from_card, size_t n,
                                                   void *stream) {
    MAY_FAIL_HERE("peer_copy");
    card.peers++;
    if (number_of(to_card) != here || !is_of(to, n, here) || !is_of(from, n, number_of(from_card))) return REFUSED;
    return put(&(struct work){.to = to, .from = from, .bytes = n});
}
#endif

// For the stand-in of NCCL (fake_nccl.c): which card calls are for, and something to be done there in its turn.
__attribute__((visibility("default"))) int fake_here(void) { return here; }
__attribute__((visibility("default"))) void fake_call(void (*call)(void *arg), void *arg) {
    put(&(struct work){.kind = CALL, .call = call, .arg = arg});
}

#endif

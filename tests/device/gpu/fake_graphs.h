// Graphs of launches: a part of fake_driver.c.
#ifndef TESTS_DEVICE_GPU_FAKE_GRAPHS_H
#define TESTS_DEVICE_GPU_FAKE_GRAPHS_H

EXPORT NAME(cuStreamBeginCapture_v2, hipStreamBeginCapture)(void *stream, int mode) {
    MAY_FAIL_HERE("capture_begin");
    if (card.capturing || mode < 0 || mode > 2) return REFUSED;
    card.capturing = take(sizeof *card.capturing);
    card.capturing->n = 0;
    return 0;
}

EXPORT NAME(cuStreamEndCapture, hipStreamEndCapture)(void *stream, void **graph) {
    struct graph *g = card.capturing;
    card.capturing = NULL;
    int error = g ? away("capture_end") : REFUSED;
    *graph = error ? NULL : g;
    if (error && g) give(g);
    return error;
}

EXPORT NAME(cuGraphInstantiateWithFlags, hipGraphInstantiateWithFlags)(void **exec, void *graph,
                                                                       unsigned long long flags) {
    MAY_FAIL_HERE("graph_make");
    *exec = memcpy(take(sizeof(struct graph)), graph, sizeof(struct graph));
    return flags ? REFUSED : 0;
}

EXPORT NAME(cuGraphLaunch, hipGraphLaunch)(void *exec, void *stream) {
    struct graph *g = exec;
    MAY_FAIL_HERE("graph_launch");
    card.graphs++;
    for (int i = 0; i < g->n; i++) put(&g->node[i]);
    return 0;
}

EXPORT NAME(cuGraphDestroy, hipGraphDestroy)(void *graph) {
    give(graph);
    return 0;
}

EXPORT NAME(cuGraphExecDestroy, hipGraphExecDestroy)(void *exec) {
    give(exec);
    return 0;
}

#endif

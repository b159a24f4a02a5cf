// The operations of src/device/gpu are linked a second time, on the emulated card in place of the driver layer: under
// other names.
#ifndef TESTS_SIMT_NAMES_H
#define TESTS_SIMT_NAMES_H

#define gpu_alloc           simt_gpu_alloc
#define gpu_copy            simt_gpu_copy
#define gpu_fails           simt_gpu_fails
#define gpu_free            simt_gpu_free
#define gpu_has             simt_gpu_has
#define gpu_launch          simt_gpu_launch
#define gpu_operations      simt_gpu_operations
#define gpu_read            simt_gpu_read
#define gpu_read_rate       simt_gpu_read_rate
#define gpu_record_last     simt_gpu_record_last
#define gpu_room            simt_gpu_room
#define gpu_send            simt_gpu_send
#define gpu_share           simt_gpu_share
#define gpu_stage           simt_gpu_stage
#define gpu_staged          simt_gpu_staged
#define gpu_sync            simt_gpu_sync
#define gpu_want            simt_gpu_want
#define gpu_work_free       simt_gpu_work_free
#define gpu_write           simt_gpu_write
#define lay_grid            simt_lay_grid
#define lay_of              simt_lay_of
#define lay_rows            simt_lay_rows
#define work_attention      simt_work_attention
#define work_begin          simt_work_begin
#define work_causal         simt_work_causal
#define work_causal_floats  simt_work_causal_floats
#define work_choose         simt_work_choose
#define work_chosen_product simt_work_chosen_product
#define work_conv           simt_work_conv
#define work_embed          simt_work_embed
#define work_experts        simt_work_experts
#define work_head_products  simt_work_head_products
#define work_is_product     simt_work_is_product
#define work_launch         simt_work_launch
#define work_launch_typed   simt_work_launch_typed
#define work_product        simt_work_product
#define work_products       simt_work_products
#define work_qkv            simt_work_qkv
#define work_recur          simt_work_recur
#define work_launches       simt_work_launches
#define work_round          simt_work_round
#define work_room           simt_work_room
#define work_round_along    simt_work_round_along
#define work_step_ends      simt_work_step_ends
#define work_sums           simt_work_sums
#define work_sums_of        simt_work_sums_of
#define work_route          simt_work_route
#define work_scratch        simt_work_scratch
#define work_tables_free    simt_work_tables_free
#define work_units          simt_work_units
#define work_weight         simt_work_weight
#define work_weight_bind    simt_work_weight_bind
#define work_weight_ready   simt_work_weight_ready
#define work_weight_unbind  simt_work_weight_unbind
#define work_weights_free   simt_work_weights_free
#define work_writes         simt_work_writes
#define work_wrote          simt_work_wrote
#define work_wrote_anything simt_work_wrote_anything

#endif

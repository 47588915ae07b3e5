//! Names, parameters and annotations of all tools, beside the peer's.

use super::*;

#[test]
fn names_are_unique_and_sorted() {
    let names: Vec<&str> = tools().iter().map(|tool| tool.name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("mempalace_")));
}

#[test]
fn a_read_only_session_lists_no_write() {
    let listed = listed(Profile::Full, true);
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    assert!(listed.len() < tools().len());
}

/// What hosts may do without asking: every tool, so that a new one is decided on.
#[test]
fn annotations_say_what_a_call_does() {
    let reads = "artifact_get check_duplicate event_list event_wait find_tunnels get_aaak_spec get_drawer get_drawers \
                 get_taxonomy graph_stats kg_query kg_stats kg_timeline list_drawers list_hallways list_rooms \
                 list_tunnels list_wings mesh_peers reconnect search status traverse diary_read palace_query";
    let adds = "artifact_put checkpoint diary_write event_ack event_append follow_tunnels kg_add patch_submit \
                task_create \
                palace_coordinate";
    let adds_once = "add_drawer create_tunnel memories_filed_away";
    let replaces = "delete_by_source delete_drawer delete_drawers delete_hallway delete_tunnel hook_settings \
                    kg_invalidate kg_supersede update_drawer";
    let anything = "palace_exec";
    let expected = [
        (reads, json!({"readOnlyHint": true, "openWorldHint": false})),
        (adds, json!({"openWorldHint": false, "destructiveHint": false})),
        (adds_once, json!({"openWorldHint": false, "destructiveHint": false, "idempotentHint": true})),
        (replaces, json!({"openWorldHint": false, "idempotentHint": true})),
        (anything, json!({"openWorldHint": false})),
    ];
    let all = tools().into_iter().chain(light::TOOLS);
    let mut count = 0;
    for tool in all {
        let name = tool.name.trim_start_matches("mempalace_");
        let (_, annotations) = expected
            .iter()
            .find(|(names, _)| names.split(' ').any(|known| known == name))
            .unwrap_or_else(|| panic!("{name} is in the table"));
        assert_eq!(tool.to_json(false)["annotations"], *annotations, "{name}");
        assert_eq!(tool.to_json(true)["annotations"]["readOnlyHint"], true, "{name}");
        count += 1;
    }
    assert_eq!(count, expected.iter().map(|(names, _)| names.split(' ').count()).sum::<usize>());
}

#[test]
fn answers_are_described_at_the_top() {
    let schema = |name: &str| tool(name).unwrap().to_json(false)["outputSchema"].clone();
    let added = schema("mempalace_add_drawer");
    assert_eq!((&added["type"], &added["required"]), (&json!("object"), &json!(["success"])));
    assert_eq!(added["properties"]["chunk_ids"]["type"], "array");
    assert_eq!(schema("mempalace_list_tunnels")["properties"]["result"]["type"], "array");
    for tool in tools() {
        assert!(!tool.answer.is_empty(), "{}", tool.name);
        // A parameter that can be refused is a question that can be answered with an error alone.
        let refusable = !tool.parameters.is_empty();
        assert!(!refusable || tool.answer.iter().any(|key| key.name == "error"), "{}", tool.name);
    }
}

#[test]
fn every_parameter_of_the_full_profile_is_described() {
    for tool in tools() {
        for parameter in tool.parameters {
            assert!(!parameter.description.is_empty(), "{} {}", tool.name, parameter.name);
        }
    }
}

#[test]
fn the_light_profile_lists_three_tools() {
    let names = |read_only| -> Vec<String> {
        let listed = listed(Profile::Light, read_only);
        listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(false), ["palace_query", "palace_exec", "palace_coordinate"]);
    assert_eq!(names(true), ["palace_query", "palace_coordinate"]);
}

/// The schema facts of MemPalace 3.11.0: parameter names, and which of them are required.
#[test]
fn parameters_are_the_peers() {
    let peer = [
        ("add_drawer", "wing! room! content! source_file added_by"),
        ("artifact_get", "artifact_id!"),
        ("artifact_put", "kind! content! created_by! metadata"),
        ("check_duplicate", "content! threshold"),
        ("checkpoint", "items! diary dedup_threshold added_by"),
        (
            "create_tunnel",
            "source_wing! source_room! target_wing! target_room! label source_drawer_id \
             target_drawer_id",
        ),
        ("delete_by_source", "source_file! dry_run"),
        ("delete_drawer", "drawer_id!"),
        ("delete_drawers", "drawer_ids!"),
        ("delete_hallway", "hallway_id!"),
        ("delete_tunnel", "tunnel_id!"),
        ("diary_read", "agent_name! last_n wing"),
        ("diary_write", "agent_name! entry topic wing content"),
        ("event_ack", "event_id! from_agent! status body topic"),
        (
            "event_append",
            "type! stream! room! topic from_agent! to_agent correlation_id branch base_commit \
             status body metadata artifact_ids",
        ),
        (
            "event_list",
            "stream room topic type to_agent from_agent writer correlation_id status since_event_id \
             before_event_id since_created_at limit order preview",
        ),
        (
            "event_wait",
            "stream room topic type to_agent from_agent writer correlation_id status since_event_id \
             since_created_at timeout_ms limit",
        ),
        ("find_tunnels", "wing_a wing_b"),
        ("follow_tunnels", "wing! room!"),
        ("get_aaak_spec", ""),
        ("get_drawer", "drawer_id!"),
        ("get_drawers", "drawer_ids!"),
        ("get_taxonomy", ""),
        ("graph_stats", ""),
        ("hook_settings", "silent_save desktop_toast"),
        (
            "kg_add",
            "subject! predicate! object! valid_from valid_to source_closet source_file \
             source_drawer_id",
        ),
        ("kg_invalidate", "subject! predicate! object! ended"),
        ("kg_query", "entity! as_of direction"),
        ("kg_stats", ""),
        ("kg_supersede", "subject! predicate! old_object! new_object! at"),
        ("kg_timeline", "entity limit offset"),
        ("list_drawers", "wing room since before limit offset"),
        ("list_hallways", "wing limit offset"),
        ("list_rooms", "wing"),
        ("list_tunnels", "wing"),
        ("list_wings", ""),
        ("memories_filed_away", ""),
        ("mesh_peers", ""),
        (
            "patch_submit",
            "content! from_agent! stream! room topic to_agent correlation_id branch base_commit \
             body metadata",
        ),
        ("reconnect", ""),
        (
            "search",
            "query! limit wing room source_file since before max_distance candidate_strategy \
             cli_compatible include_media query_task context",
        ),
        ("status", ""),
        ("task_create", "project! from_agent! to_agent! goal! branch! base_commit! done!"),
        ("traverse", "start_room! max_hops"),
        ("update_drawer", "drawer_id! content wing room"),
    ];
    let ours: Vec<(String, String)> = tools()
        .iter()
        .map(|tool| {
            let parameters: Vec<String> = tool
                .parameters
                .iter()
                .map(|parameter| format!("{}{}", parameter.name, if parameter.required { "!" } else { "" }))
                .collect();
            (tool.name.trim_start_matches("mempalace_").to_owned(), parameters.join(" "))
        })
        .collect();
    let peer: Vec<(String, String)> =
        peer.iter().map(|(name, parameters)| ((*name).to_owned(), (*parameters).to_owned())).collect();
    assert_eq!(ours, peer);
}

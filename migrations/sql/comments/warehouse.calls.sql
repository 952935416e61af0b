COMMENT ON TABLE warehouse.calls IS 'One row per call of all sources, in its latest version; read it through bi.calls';
COMMENT ON COLUMN warehouse.calls.call_key IS
    'Key of the call, computed from source and provider_call_id: the same in every table, database and reload';
COMMENT ON COLUMN warehouse.calls.source IS
    'Name, in the configuration, of the account that the call was read from. Never null';
COMMENT ON COLUMN warehouse.calls.provider IS 'Provider of the account: ringg, ravan, autocalls or vaani';
COMMENT ON COLUMN warehouse.calls.provider_call_id IS 'The provider''s id of the call, unique within one source';
COMMENT ON COLUMN warehouse.calls.direction IS
    'inbound (the customer called), outbound (the agent called), web (from a browser, without telephone numbers) or '
    'unknown. Sent by Ringg, Autocalls and Vaani; for Ravan found by which number is the organisation''s own. Never '
    'null';
COMMENT ON COLUMN warehouse.calls.outcome IS
    'How the call ended, in one vocabulary for all providers: completed (a conversation took place), transferred (it was '
    'handed on), no_answer, busy, failed, canceled, voicemail, in_progress (not over yet) or unknown (a status that is '
    'not known; see provider_status). Never null';
COMMENT ON COLUMN warehouse.calls.provider_status IS
    'Status as the provider sent it: a word, or a sentence for Vaani. Null where it sent none. All providers';
COMMENT ON COLUMN warehouse.calls.is_live IS
    'Whether the call is still going on, by its status (Vaani: by End_time). Null where the status is unknown';
COMMENT ON COLUMN warehouse.calls.is_final IS
    'Whether the provider has finished the record, as the record itself says. Null where its status is unknown: '
    'warehouse.is_final() takes such a call as final a day after created_at, and so does bi.calls';
COMMENT ON COLUMN warehouse.calls.is_answered IS
    'Whether the call was answered, by a person or a machine. Vaani: answered_at is known; other providers: outcome '
    'is completed or transferred. Never null';
COMMENT ON COLUMN warehouse.calls.agent_id IS
    'The provider''s id of the voice agent. Ringg, Ravan and Vaani; null for Autocalls, which sends names only';
COMMENT ON COLUMN warehouse.calls.agent_name IS
    'Name of the voice agent, as sent with the call. All providers; null where none was sent';
COMMENT ON COLUMN warehouse.calls.agent_version IS
    'Version of the voice agent that took the call, as sent: another one after each change of its prompt or settings. Ringg '
    'only, in some of its records; null for all others';
COMMENT ON COLUMN warehouse.calls.campaign_name IS
    'Name of the campaign that the call belongs to. Autocalls only; null for all others and outside a campaign';
COMMENT ON COLUMN warehouse.calls.from_number IS
    'Number that called, E.164 where it is a telephone number, else as sent. Null for web calls, where the provider '
    'sent none, and for outbound Ringg calls with several caller numbers';
COMMENT ON COLUMN warehouse.calls.to_number IS
    'Number that was called, E.164 where it is a telephone number, else as sent. Null for web calls and where the '
    'provider sent none';
COMMENT ON COLUMN warehouse.calls.customer_number IS
    'The customer''s number: from_number of an inbound call, to_number of an outbound one. Null where the direction '
    'is neither (Autocalls sends the customer''s number in any case)';
COMMENT ON COLUMN warehouse.calls.agent_number IS
    'The voice agent''s number: to_number of an inbound call, from_number of an outbound one. Null where the '
    'direction is neither (Autocalls sends the agent''s number in any case)';
COMMENT ON COLUMN warehouse.calls.customer_id IS
    'The customer, without the number: a keyed token of customer_number, the same over all sources, to count customers and '
    'to join their calls. Null where there is no customer_number, or a word in its place, such as anonymous';
COMMENT ON COLUMN warehouse.calls.customer_name IS
    'The customer''s name, as sent (Autocalls: among the variables of the call). All providers; null where it is not known';
COMMENT ON COLUMN warehouse.calls.customer_email IS 'The customer''s e-mail address. Ravan only; null for all others';
COMMENT ON COLUMN warehouse.calls.created_at IS
    'When the provider created the call''s record (Vaani: when the call started). All providers; never null';
COMMENT ON COLUMN warehouse.calls.started_at IS
    'When dialling began (Ringg: of the last attempt). Ringg, Ravan and Vaani; null for Autocalls and before dialling';
COMMENT ON COLUMN warehouse.calls.answered_at IS 'When the call was picked up. Vaani only; null where nobody did';
COMMENT ON COLUMN warehouse.calls.ended_at IS
    'When the call ended. Ringg: started_at plus duration_seconds, an estimate; Ravan and Vaani: as sent; null for '
    'Autocalls and while the call goes on';
COMMENT ON COLUMN warehouse.calls.updated_at IS
    'When the provider last changed its record. Autocalls only; null for all others';
COMMENT ON COLUMN warehouse.calls.duration_seconds IS
    'Duration of the call in seconds, as duration_basis says. Null where the provider gives none, as while the call '
    'goes on. All providers';
COMMENT ON COLUMN warehouse.calls.talk_seconds IS
    'From answered_at to ended_at, in seconds. Vaani only; null where one of them is unknown';
COMMENT ON COLUMN warehouse.calls.duration_basis IS
    'Where duration_seconds comes from: provider (as sent: Ravan, Autocalls, Ringg), estimate (Ringg: as sent, and '
    'ended_at is computed from it), timestamps (Vaani: created_at to ended_at). Null where there is no duration';
COMMENT ON COLUMN warehouse.calls.cost IS
    'Total cost of the call, in cost_unit. Null until the provider has computed it. All providers';
COMMENT ON COLUMN warehouse.calls.cost_unit IS
    'Unit of cost: a currency code (ISO 4217), ringg_credits, vaani_credits, or unknown where the provider does not '
    'say. By default ringg_credits for Ringg, vaani_credits for Vaani, USD for Autocalls, unknown for Ravan. Never add '
    'up amounts of different units';
COMMENT ON COLUMN warehouse.calls.costs IS
    'Components of the cost, {component: [amount, unit]}. Ravan and Autocalls; null for the others';
COMMENT ON COLUMN warehouse.calls.answered_by IS
    'Who answered: human, machine or unknown. Autocalls as sent; machine for a voicemail of Ringg; unknown for all '
    'others';
COMMENT ON COLUMN warehouse.calls.ended_by IS
    'Who ended the call: customer, agent, system or unknown. Ravan, Autocalls and Vaani; unknown for Ringg';
COMMENT ON COLUMN warehouse.calls.recording_url IS
    'Link to the recording at the provider, as last sent. It may carry a signature that opens it, and may have '
    'expired. Null where there is no recording. All providers';
COMMENT ON COLUMN warehouse.calls.summary IS
    'The provider''s summary of the call. Ravan and Vaani; null for the others';
COMMENT ON COLUMN warehouse.calls.sentiment IS
    'The customer''s mood as the provider judged it, in its own words: the item sentiment of analysis. Ravan and '
    'Autocalls where their analysis has one; null otherwise';
COMMENT ON COLUMN warehouse.calls.error_message IS
    'What went wrong in the call, in the provider''s words. Ravan only; null for all others and without error';
COMMENT ON COLUMN warehouse.calls.latency_ms IS
    'The voice agent''s latency in milliseconds. Ravan only; null for all others';
COMMENT ON COLUMN warehouse.calls.analysis IS
    'The provider''s evaluation of the call, as sent. Ravan: post_call_analysis_result; Autocalls: evaluation; Vaani: '
    'call_entity, call_eval_tag and call_conversation_quality; null for Ringg and before it is done';
COMMENT ON COLUMN warehouse.calls.metadata IS
    'Data that your own systems attached to the call, as sent. Ravan: metadata; Autocalls: variables; Vaani: '
    'call_metadata; null for Ringg and where there is none';
COMMENT ON COLUMN warehouse.calls.extra IS
    'Fields of the record that no other column has, and values that their column cannot store. Null where there are '
    'none. All providers';
COMMENT ON COLUMN warehouse.calls.turn_count IS 'Number of turns of the transcript, 0 without one. Never null';
COMMENT ON COLUMN warehouse.calls.has_transcript IS
    'Whether a transcript is stored. Vaani''s are requested one by one after the call is final. Never null';
COMMENT ON COLUMN warehouse.calls.quality_flags IS
    'What is wrong or unusual in the provider''s record; empty where nothing is, never null. cost_negative: the cost '
    'is below zero. cost_total_differs: the total is not the sum of the parts (Ravan). cost_unreadable: a cost is not '
    'a plain number; it is in extra. duration_differs: the provider''s duration is not the time between start and end '
    '(Ravan, Vaani). duration_negative: the duration is below zero; it is in extra. ends_before_start: the call ends '
    'before it starts, so it has no duration. number_unreadable: a number could not be read; a telephone number is '
    'then as sent, also a word in its place, such as anonymous. number_without_country: a telephone number has no '
    'country code and is shown as sent. text_repaired: a text had a '
    'character that PostgreSQL cannot store, replaced by U+FFFD. time_implausible: a time before 2000 or after 2100; '
    'it is in extra. time_unreadable: a time could not be read; it is in extra. turn_time_outside_call: the time of a '
    'turn lies outside the call and was left out. type_unexpected: a field has a type that its column cannot store; '
    'it is in extra';
COMMENT ON COLUMN warehouse.calls.first_seen_at IS 'When the call was first loaded. Never null';
COMMENT ON COLUMN warehouse.calls.changed_at IS 'When a value of the call last changed in this database. Never null';
COMMENT ON COLUMN warehouse.calls.delisted_at IS
    'Since when the provider no longer lists the call: the time of the first complete scan without it. Null while it '
    'is listed. The call and its data stay';
COMMENT ON COLUMN warehouse.calls.latest_request_seq IS
    'Number of the request that brought the latest version of the record, from ops.request_seq';
COMMENT ON COLUMN warehouse.calls.payload_seqs IS
    'Rows of raw.payloads (their seq) with versions of the record. Null: only the one of latest_request_seq';
COMMENT ON COLUMN warehouse.calls.content_hash IS 'Hash of the content of the record''s latest version';
COMMENT ON COLUMN warehouse.calls.previous_content_hashes IS
    'Hashes of the earlier versions of the record. Null where there was one version only';
COMMENT ON COLUMN warehouse.calls.transcript_hash IS 'Hash of the stored transcript. Null where there is none';
COMMENT ON COLUMN warehouse.calls.settings_id IS
    'Settings under which the row was read, of ops.settings_versions; those of its oldest part where it has parts of several '
    'records. 0: not known';
COMMENT ON COLUMN warehouse.calls.first_seal IS
    'Hash by which the record is known when the same bytes come again. ops.call_last_seen has that of the bytes that came '
    'last, once the call came again. Null where the row was written by a replay';

